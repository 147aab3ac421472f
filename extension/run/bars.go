package run

import (
	"bytes"
	"io"
	"regexp"
	"sync"
)

// Bars is what k6's progress bars are written to at a terminal. k6 draws them again and again in place, below a line that it leaves
// empty: Bars puts a line there, cut at the width of the terminal, since k6 counts the lines that it goes back over.
type Bars struct {
	out   io.Writer
	width func() int // of the terminal, in columns

	mu   sync.Mutex
	line string // "": none
}

// NewBars returns a writer that passes all on to out.
func NewBars(out io.Writer, width func() int) *Bars { return &Bars{out: out, width: width} }

// emptyLine is how k6 begins its bars, and goesBack how it ends them where it will draw them again.
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

// now returns the line as the terminal can show it.
func (b *Bars) now() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	columns := []rune(b.line)
	if most := max(0, b.width()-1); len(columns) > most {
		columns = columns[:most]
	}
	return string(columns)
}

// set sets the line; "" takes it away.
func (b *Bars) set(line string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = line
}
