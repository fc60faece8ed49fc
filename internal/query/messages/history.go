package messages

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
)

// History follows a conversation call by call. Each call repeats what was said before it; History tells what is new. The
// zero value is ready. It is not safe for concurrent use.
type History struct {
	threads [][]uint64
}

// maxThreads bounds the threads of a conversation that are followed at the same time; agents that talk in parallel have
// one each.
const maxThreads = 32

// Next returns what e says that the calls before it didn't, and how many of its input messages were left out. A message
// counts as said before only in its place: behind the same messages as then.
func (h *History) Next(e Exchange) (fresh Exchange, repeated int) {
	in := hashes(e.Input)
	best := -1
	for i, t := range h.threads {
		if n := common(t, in); n > repeated {
			best, repeated = i, n
		}
	}
	thread := slices.Concat(in, hashes(e.Output))
	switch {
	case best >= 0 && repeated == len(h.threads[best]):
		h.threads[best] = thread
	case len(h.threads) == maxThreads:
		h.threads = append(h.threads[1:], thread)
	default:
		h.threads = append(h.threads, thread)
	}
	return Exchange{Input: e.Input[repeated:], Output: e.Output, Expired: e.Expired}, repeated
}

func common(a, b []uint64) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func hashes(list []Message) []uint64 {
	out := make([]uint64, 0, len(list))
	for _, m := range list {
		h := fnv.New64a()
		write := func(s string) {
			var n [8]byte
			binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
			h.Write(n[:])
			h.Write([]byte(s))
		}
		write(m.Role)
		for _, p := range m.Parts {
			for _, s := range []string{p.Kind, p.Text, p.ID, p.Tool, p.Value} {
				write(s)
			}
			if p.Media != nil {
				write(p.Media.URI + p.Media.File)
			}
		}
		out = append(out, h.Sum64())
	}
	return out
}
