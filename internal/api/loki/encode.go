package loki

import (
	"bufio"
	"strconv"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/query/logql"
)

// document writes an answer with data as it goes, so that it is not held twice. Grafana reads it as a stream: the encoding
// flags must stand before the result.
type document struct {
	q     *request
	w     *bufio.Writer
	flags bool
	stats logql.Stats
	buf   []byte
	count int
}

func newDocument(q *request, stats logql.Stats) *document {
	q.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return &document{q: q, w: bufio.NewWriterSize(q.w, 32<<10), flags: q.categorized(), stats: stats}
}

func (d *document) begin(kind string) {
	d.buf = append(d.buf[:0], `{"status":"success","data":{"resultType":"`+kind+`",`...)
	if d.flags {
		d.buf = append(d.buf, `"encodingFlags":["categorize-labels"],`...)
	}
	d.buf = append(d.buf, `"result":`...)
}

// end writes the figures that Grafana's inspector shows.
func (d *document) end() error {
	took := d.stats.Took.Seconds()
	perSecond := func(n int64) int64 {
		if took <= 0 {
			return n
		}
		return int64(float64(n) / took)
	}
	d.buf = append(d.buf, `,"stats":{"summary":{"bytesProcessedPerSecond":`...)
	d.buf = strconv.AppendInt(d.buf, perSecond(d.stats.Bytes), 10)
	d.buf = append(d.buf, `,"linesProcessedPerSecond":`...)
	d.buf = strconv.AppendInt(d.buf, perSecond(d.stats.Lines), 10)
	d.buf = append(d.buf, `,"totalBytesProcessed":`...)
	d.buf = strconv.AppendInt(d.buf, d.stats.Bytes, 10)
	d.buf = append(d.buf, `,"totalLinesProcessed":`...)
	d.buf = strconv.AppendInt(d.buf, d.stats.Lines, 10)
	d.buf = append(d.buf, `,"execTime":`...)
	d.buf = strconv.AppendFloat(d.buf, took, 'f', 6, 64)
	d.buf = append(d.buf, `,"totalEntriesReturned":`...)
	d.buf = strconv.AppendInt(d.buf, int64(d.count), 10)
	d.buf = append(d.buf, "}}}}\n"...)
	d.flush()
	_ = d.w.Flush() // who is gone needs no answer
	return nil
}

// flush hands on what was written so far.
func (d *document) flush() {
	_, _ = d.w.Write(d.buf) // its error comes again at the end
	d.buf = d.buf[:0]
}

// stream are the lines of one set of labels, in the order of the answer.
type stream struct {
	labels  logql.Labels
	entries []*logql.Entry
}

// byStream groups lines; flat puts all labels into the stream's.
func byStream(entries []logql.Entry, flat bool) []*stream {
	known := map[string]*stream{}
	var out []*stream
	for i := range entries {
		e := &entries[i]
		labels := e.Stream
		if flat {
			labels = e.All()
		}
		key := labels.String()
		s := known[key]
		if s == nil {
			s = &stream{labels: labels}
			known[key] = s
			out = append(out, s)
		}
		s.entries = append(s.entries, e)
	}
	return out
}

func (d *document) streams(entries []logql.Entry) error {
	d.begin("streams")
	d.buf = append(d.buf, '[')
	for i, s := range byStream(entries, !d.flags) {
		if i > 0 {
			d.buf = append(d.buf, ',')
		}
		d.buf = appendStream(d.buf, s, d.flags, d.flush2)
	}
	d.buf = append(d.buf, ']')
	d.count = len(entries)
	return d.end()
}

// flush2 hands on a buffer that has grown.
func (d *document) flush2(buf []byte) []byte {
	d.buf = buf
	if len(buf) > 32<<10 {
		d.flush()
	}
	return d.buf
}

// appendStream writes a stream's object. Values are triples when labels are kept apart, else pairs.
func appendStream(b []byte, s *stream, apart bool, flush func([]byte) []byte) []byte {
	b = append(b, `{"stream":`...)
	b = appendLabels(b, s.labels)
	b = append(b, `,"values":[`...)
	for i, e := range s.entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `["`...)
		b = strconv.AppendInt(b, e.At, 10)
		b = append(b, `",`...)
		b = appendText(b, e.Line)
		if apart {
			b = append(b, ",{"...)
			if len(e.Metadata) > 0 {
				b = append(b, `"structuredMetadata":`...)
				b = appendLabels(b, e.Metadata)
			}
			if len(e.Parsed) > 0 {
				if len(e.Metadata) > 0 {
					b = append(b, ',')
				}
				b = append(b, `"parsed":`...)
				b = appendLabels(b, e.Parsed)
			}
			b = append(b, '}')
		}
		b = flush(append(b, ']'))
	}
	return append(b, "]}"...)
}

func appendLabels(b []byte, l logql.Labels) []byte {
	b = append(b, '{')
	for i, one := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, one.Name)
		b = append(b, ':')
		b = appendText(b, one.Value)
	}
	return append(b, '}')
}

func (d *document) matrix(series []logql.Series) error {
	d.begin("matrix")
	d.buf = append(d.buf, '[')
	for i, s := range series {
		if i > 0 {
			d.buf = append(d.buf, ',')
		}
		d.buf = append(d.buf, `{"metric":`...)
		d.buf = appendLabels(d.buf, s.Labels)
		d.buf = append(d.buf, `,"values":[`...)
		for j, p := range s.Points {
			if j > 0 {
				d.buf = append(d.buf, ',')
			}
			d.buf = d.flush2(appendPoint(d.buf, p))
		}
		d.buf = append(d.buf, "]}"...)
		d.count += len(s.Points)
	}
	d.buf = append(d.buf, ']')
	return d.end()
}

// vector writes the values at one instant, or a number that has no labels as a scalar.
func (d *document) vector(m *logql.Matrix) error {
	d.count = len(m.Series)
	if m.Scalar && len(m.Series) == 1 {
		d.begin("scalar")
		d.buf = appendPoint(d.buf, m.Series[0].Points[0])
		return d.end()
	}
	d.begin("vector")
	d.buf = append(d.buf, '[')
	for i, s := range m.Series {
		if i > 0 {
			d.buf = append(d.buf, ',')
		}
		d.buf = append(d.buf, `{"metric":`...)
		d.buf = appendLabels(d.buf, s.Labels)
		d.buf = append(d.buf, `,"value":`...)
		d.buf = d.flush2(append(appendPoint(d.buf, s.Points[0]), '}'))
	}
	d.buf = append(d.buf, ']')
	return d.end()
}

func appendPoint(b []byte, p logql.Point) []byte {
	b = append(b, '[')
	b = strconv.AppendFloat(b, seconds(p.At), 'f', -1, 64)
	b = append(b, `,"`...)
	b = strconv.AppendFloat(b, p.Value, 'f', -1, 64)
	return append(b, `"]`...)
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c >= utf8.RuneSelf {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
