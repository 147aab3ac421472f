package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// Folder is the folder of one campaign, with its log, its record and its page. One process at a time may have it open.
type Folder struct {
	dir     string
	log     *os.File
	unlock  func()
	secrets *strings.Replacer
	day     string // of the last line
}

// Create creates the folder of a new campaign. No text written through Said contains any of the secrets.
func Create(dir string, secrets []string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for others to read
		return nil, notAFolder(dir, err)
	}
	for _, name := range []string{RecordFile, LogFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("%s belongs to another campaign: %s is in it; go on with that one by --resume, or name another --report-dir", dir, name)
		}
	}
	return open(dir, secrets)
}

// Reopen opens the folder of a campaign that was stopped, and returns its record.
func Reopen(dir string, secrets []string) (*Folder, *Record, error) {
	path := filepath.Join(dir, RecordFile)
	text, err := os.ReadFile(path) // #nosec G304 -- the user names it
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("--resume: there is no campaign in %s, for it has no %s; name its folder with --report-dir", dir, RecordFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--resume: %w", err)
	}
	record := &Record{}
	if err := json.Unmarshal(text, record); err != nil {
		return nil, nil, fmt.Errorf("--resume: %s cannot be read: %w", path, err)
	}
	if record.Version != recordVersion || len(record.Steps) != len(record.Plan.Steps) {
		return nil, nil, fmt.Errorf("--resume: %s is of another version of this program; begin a new campaign", path)
	}
	folder, err := open(dir, secrets)
	if err == nil && len(record.Events) > 0 {
		folder.day = dayOf(record.Events[len(record.Events)-1].At)
	}
	return folder, record, err
}

func open(dir string, secrets []string) (*Folder, error) {
	log, err := os.OpenFile(filepath.Join(dir, LogFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) // #nosec G302 G304 -- for others to read; the user names its folder
	if err != nil {
		return nil, notAFolder(dir, err)
	}
	unlock, err := lock(log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a campaign is running in %s: wait for its end, or name another --report-dir", dir), log.Close())
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // longest first: one secret may be part of another
	var replaced []string
	for _, secret := range secrets {
		if secret != "" {
			replaced = append(replaced, secret, "…")
		}
	}
	return &Folder{dir: dir, log: log, unlock: unlock, secrets: strings.NewReplacer(replaced...)}, nil
}

func notAFolder(dir string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("--report-dir must be a folder that this process may write to, got %q: %w", dir, err)
}

// Close closes the log and releases the folder.
func (f *Folder) Close() error {
	f.unlock()
	return f.log.Close()
}

// Path returns the path of a file or folder in the folder.
func (f *Folder) Path(name ...string) string {
	return filepath.Join(slices.Concat([]string{f.dir}, name)...)
}

// Said returns a text that may be stored and shown: on one line and without secrets.
func (f *Folder) Said(text string) string { return f.secrets.Replace(plain.Text(text)) }

// head writes the heading of the log: the target, the versions and the time zone.
func (f *Folder) head(r *Record) error {
	_, err := fmt.Fprintf(f.log, "# Campaign on %s\n\nCampaign %s of xk6-verity %s (k6 %s), build %.12s. All times are UTC.\n",
		f.Said(r.Target), r.ID, r.Tool, r.K6, r.Build)
	return errors.Join(err, f.log.Sync())
}

// append writes a line of the log and returns when it is on disk.
func (f *Folder) append(event Event) error {
	var text strings.Builder
	if day := dayOf(event.At); day != f.day {
		fmt.Fprintf(&text, "\n## %s\n\n", day)
		f.day = day
	}
	fmt.Fprintf(&text, "- %s\n", event.markdown())
	_, err := f.log.WriteString(text.String())
	if err := errors.Join(err, f.log.Sync()); err != nil {
		return fmt.Errorf("writing the log: %w", err)
	}
	return nil
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Line returns the event as a line for a terminal.
func (e Event) Line() string {
	return fmt.Sprintf("%s %s %s", e.At.UTC().Format(time.TimeOnly), e.about(), e.Text)
}

// markdown returns the event as a line of the log.
func (e Event) markdown() string {
	return fmt.Sprintf("%s **%s** %s", e.At.UTC().Format(time.TimeOnly), e.about(), escaped(e.Text))
}

// about returns the subject of an event: its step, and its kind unless the text makes it clear.
func (e Event) about() string {
	about := e.Step
	if about == "" {
		about = "campaign"
	}
	switch e.Kind {
	case KindCampaign, KindStep:
		return about
	default:
		return about + ", " + string(e.Kind) + ":"
	}
}

// escaped escapes Markdown in a text, except within code marked by backquotes.
func escaped(text string) string {
	parts := strings.Split(text, "`")
	for i := range parts {
		if i%2 == 0 || i == len(parts)-1 {
			parts[i] = inMarkdown.Replace(parts[i])
		}
	}
	return strings.Join(parts, "`")
}

var inMarkdown = strings.NewReplacer("<", "&lt;", "|", "\\|", "[", "\\[", "]", "\\]", "*", "\\*") //nolint:gochecknoglobals // a constant table

// save replaces campaign.json atomically: a concurrent reader gets the old file or the complete new one.
func (f *Folder) save(r *Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", RecordFile, err)
	}
	return f.replace(RecordFile, append(text, '\n'))
}

// replace writes a file of the folder atomically.
func (f *Folder) replace(name string, text []byte) error {
	path := f.Path(name)
	temporary := path + ".part"
	file, err := os.Create(temporary) // #nosec G304 -- the user names its folder
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(temporary))
	}
	return nil
}

// stepFolder creates the folder of a step. It renames a folder that holds files of an earlier attempt.
func (f *Folder) stepFolder(step string) (dir, aside string, err error) {
	dir = f.Path(step)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	for n := 1; len(entries) > 0; n++ {
		aside = fmt.Sprintf("%s-attempt-%d", dir, n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(dir, aside); err != nil {
			return "", "", err
		}
		break
	}
	return dir, aside, os.MkdirAll(dir, 0o755) // #nosec G301 -- for others to read
}

// files returns the files in the folder of a step, as paths relative to the campaign's folder.
func (f *Folder) files(step string) []string {
	entries, _ := os.ReadDir(f.Path(step)) // a missing folder has no files
	var files []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			files = append(files, step+"/"+entry.Name())
		}
	}
	return files
}
