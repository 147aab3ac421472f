package evidence

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Extension ends the names of the files. The reports and the evidence of a merged run have MergedSuffix in their names, so that a merge
// into the folder of the runners' own files can be told from them, and repeated.
const (
	Extension       = ".evidence.jsonl.gz"
	MergedSuffix    = "-merged"
	MergedExtension = MergedSuffix + Extension
)

// mostUnwritten is how many bytes are kept while the disk refuses writes, before the file is given up.
const mostUnwritten = 32 << 20

// disk has the methods of *os.File that are used.
type disk interface {
	io.WriterAt
	io.Closer
	Sync() error
}

// file appends records. Each batch is a gzip member of its own, so that the file can be read at any time.
type file struct {
	disk      disk
	gz        *gzip.Writer
	lines     bytes.Buffer // records that are not compressed yet
	unwritten bytes.Buffer // members that are not on the disk yet
	written   int64        // bytes on the disk
	failed    error        // the first error
	isGivenUp bool
	report    func(error)
}

// Open begins to write the evidence to a file, every 5 s with a sync to the disk. An existing file is replaced. If writing
// fails later, the evidence is kept in memory, writing is tried again every 5 s, and report is called once, with the first
// error; report must not call the recorder.
func (r *Recorder) Open(path string, report func(error)) error {
	disk, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) // #nosec G302 G304 -- for others to read; it holds no secret
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return r.open(disk, report, foldEvery*time.Second)
}

func (r *Recorder) open(disk disk, report func(error), every time.Duration) error {
	r.cold.Lock()
	defer r.cold.Unlock()
	if r.file != nil || r.end != nil {
		return errors.Join(errors.New("evidence: the recorder has had a file, or is closed"), disk.Close())
	}
	r.fold()
	r.file = &file{disk: disk, gz: gzip.NewWriter(nil), report: report}
	r.beginFile()
	r.stop, r.stopped = make(chan struct{}), make(chan struct{})
	go r.keepWriting(every)
	return nil
}

// beginFile writes the header and the seconds recorded so far, once there are both a file and a description.
func (r *Recorder) beginFile() {
	if r.file == nil || !r.isDescribed {
		return
	}
	r.file.add(newHeaderRecord(r.header, []Runner{r.runner}))
	known := r.known()
	for second, blob := range r.packed {
		r.file.addSecond(second, known.unpack(blob))
	}
	r.file.flush()
}

// keepWriting packs and writes new records at intervals, until Close.
func (r *Recorder) keepWriting(every time.Duration) {
	defer close(r.stopped)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			r.cold.Lock()
			r.fold()
			r.file.flush()
			r.cold.Unlock()
		}
	}
}

// Close ends the recording: later samples are ignored. It writes the rest to the file, if there is one, and returns an error if
// the file is incomplete. A second call does nothing.
func (r *Recorder) Close(end End) error {
	r.cold.Lock()
	defer r.cold.Unlock()
	if r.end != nil {
		return nil
	}
	r.hot.Lock()
	r.isClosed = true
	if end.At.IsZero() {
		end.At = r.clock()
	}
	r.hot.Unlock()
	r.fold()
	end.At = r.onTarget(end.At)
	r.end = &end
	if r.file == nil {
		return nil
	}
	close(r.stop)
	// keepWriting may be waiting for the lock; it then writes nothing and returns.
	r.cold.Unlock()
	<-r.stopped
	r.cold.Lock()
	if !r.isDescribed {
		return errors.Join(errors.New("evidence: the file is empty, for the run was never described"), r.file.disk.Close())
	}
	r.file.add(endRecord{recordEnd, end})
	r.file.flush()
	return r.file.close()
}

func (f *file) addSecond(at int64, s *Second) { f.add(newSecondRecord(at, s)) }

func (f *file) add(record any) {
	if f.isGivenUp {
		return
	}
	if err := newEncoder(&f.lines).Encode(record); err != nil {
		f.fail(err)
	}
}

// flush writes the records that are not on the disk yet, over the remains of a failed attempt.
func (f *file) flush() {
	if f.isGivenUp {
		return
	}
	if f.lines.Len() > 0 {
		f.gz.Reset(&f.unwritten)
		_, _ = f.lines.WriteTo(f.gz) // never fails: it writes to a buffer
		_ = f.gz.Close()
	}
	if f.unwritten.Len() == 0 {
		return
	}
	_, err := f.disk.WriteAt(f.unwritten.Bytes(), f.written)
	if err == nil {
		err = f.disk.Sync()
	}
	if err == nil {
		f.written += int64(f.unwritten.Len())
		f.unwritten.Reset()
		return
	}
	f.fail(err)
	if f.unwritten.Len() > mostUnwritten {
		f.isGivenUp = true
		f.lines, f.unwritten = bytes.Buffer{}, bytes.Buffer{}
	}
}

func (f *file) fail(err error) {
	if f.failed != nil {
		return
	}
	f.failed = err
	if f.report != nil {
		f.report(fmt.Errorf("evidence: %w", err))
	}
}

func (f *file) close() error {
	err := f.disk.Close()
	if f.isGivenUp || f.unwritten.Len() > 0 {
		return fmt.Errorf("evidence: the file ends early, for it could not be written: %w", f.failed)
	}
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return nil
}

// Write writes a run in the format of a file.
func (run *Run) Write(w io.Writer) error {
	gz := gzip.NewWriter(w)
	if err := run.writeLines(gz); err != nil {
		return err
	}
	return gz.Close()
}
