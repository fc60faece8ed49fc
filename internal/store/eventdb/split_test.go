package eventdb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

// long is a JSON object of more than minElement bytes.
func long(text string) string {
	return `{"role":"user","content":"` + text + strings.Repeat(" and so on", minElement/8) + `"}`
}

func TestSplit(t *testing.T) {
	f := func(name string, typ store.Type, text string, want ...string) {
		t.Helper()
		var got []string
		for _, c := range split(nil, name, typ, text) {
			got = append(got, text[c.start:c.end])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("split %.80q:\n%s", text, diff)
		}
	}
	const input = "attr.gen_ai.input.messages"
	a, b, s := long(`say \"hi\" [ {`), long("b \\\\"), `"`+strings.Repeat("x", minElement)+`"`
	f(input, store.TypeString, "["+a+","+b+"]", a, b)
	f(input, store.TypeString, " [ "+a+" ,\n"+b+" ] \n", a, b)
	f(input, store.TypeSlice, "["+a+", 5, true, {}, "+s+"]", a, s)
	f(input, store.TypeString, `[{"a":1},`+a+`,[]]`, a)
	f(input, store.TypeString, "["+"["+a+","+b+"]"+"]", "["+a+","+b+"]")
	// Not split: no array, no end, no JSON, something behind it, nothing long, no valid text.
	f(input, store.TypeString, a)
	f(input, store.TypeString, "["+a+","+b)
	f(input, store.TypeString, "["+a+" "+b+"]")
	f(input, store.TypeString, "["+a+",]"+b)
	f(input, store.TypeString, "["+a+"]]")
	f(input, store.TypeString, "["+strings.Repeat("1,", 500)+"2]")
	f(input, store.TypeString, "["+a+",\"\xff\"]")
	f(input, store.TypeMap, "["+a+"]")
	f(input, store.TypeString, "["+a+strings.Repeat(",1", maxInline)+"]")
	text := strings.Repeat(`\"quoted\" `, 60)
	f(store.FieldEvents, store.TypeSlice, `[{"time":1,"name":"n","attributes":{"content":"`+text+`","k":"short"}}]`, text)
}

func TestStraddles(t *testing.T) {
	f := func(words string, want bool) {
		t.Helper()
		if got := straddles(words); got != want {
			t.Errorf("straddles(%q) = %v", words, got)
		}
	}
	f("hello, world", false)
	f("see [1] and (2)", true)
	f(`},{`, true)
	f("] [", true)
	f(`say "x"`, true)
	f("a{b}c", false)
	f("", false)
}

// partsOf encodes text as the encoder does.
func partsOf(t testing.TB, name, text string) ([]payload, special) {
	t.Helper()
	e := &encoder{key: make([]byte, 32)}
	var out encoded
	s := e.keepApart(&out, name, store.TypeString, text)
	return out.payloads, s
}

func checkRejoin(t testing.TB, name, text string) {
	t.Helper()
	payloads, s := partsOf(t, name, text)
	bodies := map[string]string{}
	for _, p := range payloads {
		bodies[p.ref.hash] = p.body
	}
	var f found
	if err := f.addRef(s, nil); err != nil {
		t.Fatalf("read references of %.100q: %v", text, err)
	}
	got, ok := rejoin(f.refs[0].parts, f.refs[0].length, func(h string) (string, bool) { b, ok := bodies[h]; return b, ok })
	if !ok || got != text || f.refs[0].length != len(text) {
		t.Fatalf("%.200q came back as %.200q, %v", text, got, ok)
	}
	if len(payloads) > 0 && s.mode == modeParts {
		delete(bodies, payloads[0].ref.hash)
		if _, ok := rejoin(f.refs[0].parts, f.refs[0].length, func(h string) (string, bool) { b, ok := bodies[h]; return b, ok }); ok {
			t.Fatalf("%.100q came back without a part", text)
		}
	}
}

func FuzzSplitRejoin(f *testing.F) {
	a, b := long("a"), long("b")
	for _, s := range []string{"", "[]", "[" + a + "," + b + "]", " [ " + a + " , " + b + " ]\t", "[" + a + ", " + b + ",{}]", "[" + a, "[\"\\", "[" + a + "]x", `{"e":"` + a + `"}`} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, events bool) {
		name := "attr.x"
		if events {
			name = store.FieldEvents
		}
		checkRejoin(t, name, text)
		checkRejoin(t, name, "["+long("x")+","+text+","+long("y")+"]")
	})
}

func FuzzParseParts(f *testing.F) {
	_, s := partsOf(f, "attr.x", "["+long("a")+", "+long("b")+",{}]")
	f.Add(s.text)
	f.Add("3=3:abc]")
	f.Add("5[" + strings.Repeat("0", hashLen) + "*3")
	f.Fuzz(func(t *testing.T, text string) {
		pieces, length, err := parseParts(text)
		if err != nil {
			return
		}
		for _, p := range pieces {
			if (p.ref.hash == "") == (p.text == "") && p.ref.hash != "" {
				t.Fatalf("piece %+v of %q", p, text)
			}
			if p.ref.hash != "" && (len(p.ref.hash) != hashLen || p.ref.chunks < 1) {
				t.Fatalf("reference %+v of %q", p.ref, text)
			}
		}
		_, _ = rejoin(pieces, length, func(string) (string, bool) { return "", true })
	})
}

func BenchmarkSplit(b *testing.B) {
	text := "[" + strings.Repeat(long(strings.Repeat(`text with \n and \"quotes\" `, 70))+",", 59) + long("x") + "]"
	b.SetBytes(int64(len(text)))
	var cuts []cut
	for b.Loop() {
		cuts = split(cuts, "attr.x", store.TypeString, text)
	}
	if len(cuts) != 60 {
		b.Fatal(len(cuts))
	}
}
