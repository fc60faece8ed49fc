package llmhttp

import (
	"encoding/binary"
	"hash/crc32"
)

// awsFrames cuts AWS event streams: frames of a length, headers and a payload, each with a checksum.
type awsFrames struct {
	emit emit
	held []byte
	// skip is how many bytes of a frame that is too large are still to come; broken ends the reading.
	skip   int
	broken bool
}

const (
	preludeSize = 12 // two lengths and their checksum
	trailerSize = 4
)

func (f *awsFrames) feed(p []byte) {
	for len(p) > 0 && !f.broken {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip -= n
			p = p[n:]
			continue
		}
		n := min(f.missing(), len(p))
		f.held = append(f.held, p[:n]...)
		p = p[n:]
		f.check()
	}
}

// missing is how many bytes the current frame, or its prelude, needs yet.
func (f *awsFrames) missing() int {
	if len(f.held) < preludeSize {
		return preludeSize - len(f.held)
	}
	return int(binary.BigEndian.Uint32(f.held)) - len(f.held)
}

func (f *awsFrames) check() {
	if len(f.held) < preludeSize {
		return
	}
	total, headers := binary.BigEndian.Uint32(f.held), binary.BigEndian.Uint32(f.held[4:])
	if len(f.held) == preludeSize {
		sum := binary.BigEndian.Uint32(f.held[8:])
		if crc32.ChecksumIEEE(f.held[:8]) != sum || total < preludeSize+trailerSize || headers > total-preludeSize-trailerSize {
			f.broken, f.held = true, nil
			return
		}
		if total > maxBody {
			f.skip, f.held = int(total)-preludeSize, f.held[:0]
			return
		}
	}
	if len(f.held) < int(total) {
		return
	}
	end := int(total) - trailerSize
	if crc32.ChecksumIEEE(f.held[:end]) != binary.BigEndian.Uint32(f.held[end:]) {
		f.broken, f.held = true, nil
		return
	}
	name := frameName(f.held[preludeSize : preludeSize+int(headers)])
	f.emit(name, f.held[preludeSize+int(headers):end])
	f.held = f.held[:0]
}

func (f *awsFrames) end() {}

// sizes are those of header values by their type; strings and bytes say theirs.
var sizes = [...]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

// frameName returns the event's or exception's type of a frame's headers, "" when it has none.
func frameName(h []byte) string {
	event := ""
	for len(h) > 0 {
		n := int(h[0])
		if len(h) < n+2 {
			return event
		}
		name, kind := string(h[1:n+1]), int(h[n+1])
		h = h[n+2:]
		size := 0
		switch {
		case kind == 6 || kind == 7:
			if len(h) < 2 {
				return event
			}
			size = int(binary.BigEndian.Uint16(h))
			h = h[2:]
		case kind < len(sizes):
			size = sizes[kind]
		default:
			return event
		}
		if len(h) < size {
			return event
		}
		switch name {
		case ":exception-type", ":error-code":
			return string(h[:size])
		case ":event-type":
			event = string(h[:size])
		}
		h = h[size:]
	}
	return event
}
