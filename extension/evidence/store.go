package evidence

import (
	"encoding/binary"
	"math"
)

// mostNames is how many series, and how many other names, a run may have; further ones count as "other". It keeps reasons with
// ever new texts from filling the memory.
const mostNames = 1000

const other = "other"

// names numbers the series, and the other names: of levels, counts and kinds of failures.
type names struct {
	series   []Series
	seriesID map[Series]int
	other    []string
	otherID  map[string]int
}

func newNames() names { return names{seriesID: map[Series]int{}, otherID: map[string]int{}} }

func (n *names) idOfSeries(series Series) int {
	id, isKnown := n.seriesID[series]
	if isKnown {
		return id
	}
	if len(n.series) >= mostNames {
		series.Label = other
		if id, isKnown = n.seriesID[series]; isKnown {
			return id
		}
	}
	id = len(n.series)
	n.series, n.seriesID[series] = append(n.series, series), id
	return id
}

func (n *names) idOf(name string) int {
	id, isKnown := n.otherID[name]
	if isKnown {
		return id
	}
	if len(n.other) >= mostNames {
		name = other
		if id, isKnown = n.otherID[name]; isKnown {
			return id
		}
	}
	id = len(n.other)
	n.other, n.otherID[name] = append(n.other, name), id
	return id
}

// hotSecond is the samples of one second that are not packed yet. Its lists are indexed by the number of the name.
type hotSecond struct {
	cells  []hotCell
	levels []float64 // NaN: none
	counts []int64
}

type hotCell struct {
	ok, cut, failedAfter []uint16 // indices of buckets
	over, cutOver        int64
	failed               []failures
}

type failures struct {
	kind int
	n    int64
}

func (s *hotSecond) cell(id int) *hotCell {
	for len(s.cells) <= id {
		s.cells = append(s.cells, hotCell{})
	}
	return &s.cells[id]
}

func (s *hotSecond) level(id int, value float64) {
	for len(s.levels) <= id {
		s.levels = append(s.levels, math.NaN())
	}
	s.levels[id] = value
}

func (s *hotSecond) count(id int, n int64) {
	for len(s.counts) <= id {
		s.counts = append(s.counts, 0)
	}
	s.counts[id] += n
}

func (c *hotCell) fail(kind int) {
	for i := range c.failed {
		if c.failed[i].kind == kind {
			c.failed[i].n++
			return
		}
	}
	c.failed = append(c.failed, failures{kind, 1})
}

// reset empties a second and keeps its memory.
func (s *hotSecond) reset() {
	for i := range s.cells {
		c := &s.cells[i]
		*c = hotCell{ok: c.ok[:0], cut: c.cut[:0], failedAfter: c.failedAfter[:0], failed: c.failed[:0]}
	}
	s.levels, s.counts = s.levels[:0], s.counts[:0]
}

// A packed second is a list of entries, each beginning with its kind. Appended entries add up: times, failures and counts are
// summed, and the last level is kept.
const (
	packedCell byte = iota
	packedLevel
	packedCount
)

func appendNumber[N int | int64](to []byte, n N) []byte {
	return binary.AppendUvarint(to, uint64(n)) // #nosec G115 -- nothing that is packed is negative
}

// appendTo appends the packed form of the second. It sorts the times in place.
func (s *hotSecond) appendTo(to []byte) []byte {
	for id := range s.cells {
		to = s.cells[id].appendTo(to, id)
	}
	for id, value := range s.levels {
		if !math.IsNaN(value) {
			to = appendNumber(append(to, packedLevel), id)
			to = binary.LittleEndian.AppendUint64(to, math.Float64bits(value))
		}
	}
	for id, n := range s.counts {
		if n > 0 {
			to = appendNumber(appendNumber(append(to, packedCount), id), n)
		}
	}
	return to
}

func (c *hotCell) appendTo(to []byte, id int) []byte {
	if len(c.ok)+len(c.cut)+len(c.failed) == 0 {
		return to
	}
	to = appendNumber(append(to, packedCell), id)
	to = appendNumber(appendNumber(to, c.over), c.cutOver)
	to = appendNumber(to, len(c.failed))
	for _, f := range c.failed {
		to = appendNumber(appendNumber(to, f.kind), f.n)
	}
	return appendTimes(appendTimes(appendTimes(to, c.ok), c.cut), c.failedAfter)
}

func appendTimes(to []byte, indices []uint16) []byte {
	packed := appendBuckets(nil, indices)
	to = appendNumber(appendNumber(to, len(indices)), len(packed))
	return append(to, packed...)
}

// unpacker reads a packed second.
type unpacker struct{ rest []byte }

func (u *unpacker) number() int64 {
	n, size := binary.Uvarint(u.rest)
	u.rest = u.rest[size:]
	return int64(n) // #nosec G115 -- as it was packed
}

// times returns a histogram that shares the packed bytes, which never change; nil if there are no times.
func (u *unpacker) times() *Histogram {
	count, size := u.number(), u.number()
	packed := u.rest[:size:size]
	u.rest = u.rest[size:]
	if count == 0 {
		return nil
	}
	return &Histogram{count: count, packed: packed}
}

// unpack decodes a packed second.
func (n *names) unpack(blob []byte) *Second {
	second := newSecond()
	u := unpacker{blob}
	for len(u.rest) > 0 {
		kind := u.rest[0]
		u.rest = u.rest[1:]
		id := u.number()
		switch kind {
		case packedCell:
			second.cell(n.series[id]).add(n.unpackCell(&u))
		case packedLevel:
			second.Levels[n.other[id]] = math.Float64frombits(binary.LittleEndian.Uint64(u.rest))
			u.rest = u.rest[8:]
		case packedCount:
			second.Counts[n.other[id]] += u.number()
		}
	}
	return second
}

func (n *names) unpackCell(u *unpacker) *Cell {
	cell := &Cell{Over: u.number(), CutOver: u.number()}
	for range u.number() {
		if cell.Failed == nil {
			cell.Failed = map[string]int64{}
		}
		kind := n.other[u.number()]
		cell.Failed[kind] += u.number()
	}
	cell.OK, cell.Cut, cell.FailedAfter = u.times(), u.times(), u.times()
	return cell
}

func newSecond() *Second {
	return &Second{Cells: map[Series]*Cell{}, Levels: map[string]float64{}, Counts: map[string]int64{}}
}

// cell returns the cell of a series, and makes it if there is none.
func (s *Second) cell(series Series) *Cell {
	cell := s.Cells[series]
	if cell == nil {
		cell = &Cell{}
		s.Cells[series] = cell
	}
	return cell
}

// add adds another cell of the same series, and does not change it.
func (c *Cell) add(from *Cell) {
	c.OK, c.Cut, c.FailedAfter = sumOf(c.OK, from.OK), sumOf(c.Cut, from.Cut), sumOf(c.FailedAfter, from.FailedAfter)
	c.Over += from.Over
	c.CutOver += from.CutOver
	for kind, n := range from.Failed {
		if c.Failed == nil {
			c.Failed = map[string]int64{}
		}
		c.Failed[kind] += n
	}
}

// sumOf returns a sum that may share memory with its parts; nil counts as empty.
func sumOf(a, b *Histogram) *Histogram {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return Sum(a, b)
}
