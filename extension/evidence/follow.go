package evidence

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Follower reads the file of a running test repeatedly, each time only the new part. It is not safe for concurrent use.
type Follower struct {
	path   string
	size   int64 // of the file at the last read
	offset int64 // end of the complete members that were read
	reader *reader
	text   bytes.Buffer // the beginning of an incomplete record
}

// Follow returns a Follower of a file, which need not exist yet.
func Follow(path string) *Follower { return &Follower{path: path} }

// Next returns the records since the last call, as a Run with the header and only the new seconds or parts of seconds. It is nil
// if there are none, or no file yet. An incomplete batch is left for the next call. A file that was replaced, such as by another
// run, is followed from its beginning.
func (f *Follower) Next() (*Run, error) {
	run, err := f.next()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return run, nil
}

func (f *Follower) next() (*Run, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.restart()
		return nil, nil //nolint:nilnil // nothing new is neither a run nor an error
	}
	if err != nil {
		return nil, errors.Unwrap(err) // Next adds the path
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < f.size {
		f.restart()
	}
	if info.Size() == f.size {
		return nil, nil //nolint:nilnil // as above
	}
	f.size = info.Size()
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return nil, err
	}
	return f.read(io.LimitReader(file, f.size-f.offset))
}

func (f *Follower) restart() { *f = Follower{path: f.path} }

// read reads the complete members.
func (f *Follower) read(from io.Reader) (*Run, error) {
	if f.reader == nil {
		f.reader = &reader{}
	}
	before := f.reader.records
	f.reader.run.Seconds = map[int64]*Second{}
	counted := &countingReader{from: from}
	members := bufio.NewReader(counted)
	start := f.offset
	for {
		text, err := readMember(members)
		if isTorn(err) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("damaged after record %d: %w", f.reader.records, err)
		}
		f.offset = start + counted.n - int64(members.Buffered())
		f.text.Write(text)
		if err := f.addRecords(); err != nil {
			return nil, err
		}
	}
	if f.reader.records == before {
		return nil, nil //nolint:nilnil // as above
	}
	run := f.reader.run
	return &run, nil
}

// addRecords adds the complete records of the text.
func (f *Follower) addRecords() error {
	for {
		end := bytes.IndexByte(f.text.Bytes(), '\n')
		if end < 0 {
			return nil
		}
		line := f.text.Next(end + 1)
		if err := f.reader.add(line[:end]); err != nil {
			return fmt.Errorf("record %d: %w", f.reader.records+1, err)
		}
		f.reader.records++
	}
}

// readMember decompresses one gzip member, and reads no byte of the next.
func readMember(members *bufio.Reader) ([]byte, error) {
	gz, err := gzip.NewReader(members)
	if err != nil {
		return nil, err
	}
	gz.Multistream(false)
	text, err := io.ReadAll(io.LimitReader(gz, mostBytes+1))
	if len(text) > mostBytes {
		return nil, fmt.Errorf("more than %d bytes, uncompressed; no run has as many", mostBytes)
	}
	return text, err
}

// isTorn reports whether a member is incomplete or missing. A machine that lost its power may leave zeros after the last one.
func isTorn(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrHeader)
}

type countingReader struct {
	from io.Reader
	n    int64
}

// Read counts the bytes read.
func (c *countingReader) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.n += int64(n)
	return n, err
}
