package run

import (
	"bytes"
	"io"
	"regexp"
	"sync"
)

// Bars is the writer for k6's progress bars at a terminal. k6 redraws them in place, below an empty line. Bars fills that line, and
// cuts it at the width of the terminal, since k6 moves the cursor back by the number of lines that it wrote.
type Bars struct {
	out   io.Writer
	width func() int // of the terminal, in columns

	mu   sync.Mutex
	line string // "": none
}

// NewBars returns a writer that passes everything on to out.
func NewBars(out io.Writer, width func() int) *Bars { return &Bars{out: out, width: width} }

// emptyLine is the start of k6's bars, and goesBack their end if k6 will redraw them.
var (
	emptyLine = []byte("\x1b[K\n")                            //nolint:gochecknoglobals // a constant
	goesBack  = regexp.MustCompile("\r\x1b\\[J\x1b\\[\\d+A$") //nolint:gochecknoglobals // as above
)

func (b *Bars) Write(p []byte) (int, error) {
	line := b.now()
	if line == "" || !bytes.HasPrefix(p, emptyLine) || !goesBack.Match(p) {
		return b.out.Write(p)
	}
	n, err := b.out.Write(append([]byte(line), p...))
	return max(0, n-len(line)), err
}

// now returns the line, cut at the width of the terminal.
func (b *Bars) now() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	columns := []rune(b.line)
	if most := max(0, b.width()-1); len(columns) > most {
		columns = columns[:most]
	}
	return string(columns)
}

// set sets the line; "" removes it.
func (b *Bars) set(line string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = line
}
