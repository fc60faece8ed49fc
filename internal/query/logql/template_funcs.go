package logql

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// templateFuncs are the functions of templates, but for those that meter adds. Those that make texts are bounded, Go's own
// ones included.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		// Go's own, which would write texts without bounds.
		"printf": boundedPrintf, "print": func(a ...any) (string, error) { return bounded(fmt.Sprint(a...)) },
		"println": func(a ...any) (string, error) { return bounded(fmt.Sprintln(a...)) },
		"html":    func(a ...any) (string, error) { return bounded(html.EscapeString(fmt.Sprint(a...))) },
		"js":      func(a ...any) (string, error) { return bounded(template.JSEscapeString(fmt.Sprint(a...))) },

		"ToLower": strings.ToLower, "ToUpper": strings.ToUpper, "lower": strings.ToLower, "upper": strings.ToUpper,
		"title": titleCase, "trunc": trunc, "substr": substr, "Trim": strings.Trim, "TrimLeft": strings.TrimLeft,
		"TrimRight": strings.TrimRight, "TrimPrefix": strings.TrimPrefix, "TrimSuffix": strings.TrimSuffix, "TrimSpace": strings.TrimSpace,
		"trim": strings.TrimSpace, "trimAll": func(cut, s string) string { return strings.Trim(s, cut) },
		"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
		"trimSuffix": func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
		"indent":     indent,
		"nindent":    func(n int, s string) (string, error) { return indent(n, "\n"+s) },
		"contains":   func(part, s string) bool { return strings.Contains(s, part) }, "hasPrefix": func(prefix, s string) bool { return strings.HasPrefix(s, prefix) },
		"hasSuffix": func(suffix, s string) bool { return strings.HasSuffix(s, suffix) },
		"eqFold":    strings.EqualFold,
		"urlencode": func(s string) (string, error) { return bounded(url.QueryEscape(s)) },
		"urlquery":  func(a ...any) (string, error) { return bounded(url.QueryEscape(fmt.Sprint(a...))) },
		"urldecode": url.QueryUnescape,
		"b64enc":    func(s string) (string, error) { return bounded(base64.StdEncoding.EncodeToString([]byte(s))) },
		"b64dec":    b64dec,
		"alignLeft": alignLeft, "alignRight": alignRight,
		"default": func(otherwise, s string) string { return cmp.Or(s, otherwise) },
		"bytes":   templateBytes, "duration": templateDuration, "duration_seconds": templateDuration,
		"now":  time.Now,
		"date": date, "toDate": time.Parse,
		"toDateInZone": toDateInZone, "unixToTime": unixToTime,
		"unixEpoch":       func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
		"unixEpochMillis": func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) },
		"unixEpochNanos":  func(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) },
		"int":             func(v any) int64 { return int64(toFloat(v)) },
		"float64":         toFloat,
		"add":             fold(func(a, b int64) (int64, error) { return a + b, nil }),
		"sub":             func(a, b any) int64 { return toInt(a) - toInt(b) },
		"mul":             fold(func(a, b int64) (int64, error) { return a * b, nil }),
		"div":             func(a, b any) (int64, error) { return divide(toInt(a), toInt(b)) },
		"mod":             func(a, b any) (int64, error) { return modulo(toInt(a), toInt(b)) },
		"addf":            foldFloat(func(a, b float64) float64 { return a + b }),
		"subf":            foldFloat(func(a, b float64) float64 { return a - b }),
		"mulf":            foldFloat(func(a, b float64) float64 { return a * b }),
		"divf":            foldFloat(func(a, b float64) float64 { return a / b }),
		"max":             fold(func(a, b int64) (int64, error) { return max(a, b), nil }),
		"min":             fold(func(a, b int64) (int64, error) { return min(a, b), nil }),
		"maxf":            foldFloat(func(a, b float64) float64 { return max(a, b) }),
		"minf":            foldFloat(func(a, b float64) float64 { return min(a, b) }),
		"ceil":            func(v any) float64 { return math.Ceil(toFloat(v)) },
		"floor":           func(v any) float64 { return math.Floor(toFloat(v)) },
		"round":           round,
	}
}

func bounded(s string) (string, error) {
	if len(s) > maxTemplateBytes {
		return "", errTemplateBytes
	}
	return s, nil
}

// wide matches a width or precision that pads a text to more than anybody reads.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*([0-9]{5,}|\*)`)

func boundedPrintf(format string, a ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errors.New("printf: a width of at most four digits is allowed")
	}
	size := len(format)
	for _, v := range a {
		if s, ok := v.(string); ok {
			size += len(s)
		}
	}
	if size > 4*maxTemplateBytes || strings.Count(format, "%") > 100 {
		return "", errTemplateBytes
	}
	return bounded(fmt.Sprintf(format, a...))
}

func titleCase(s string) string {
	up := true
	return strings.Map(func(r rune) rune {
		if up && r < utf8.RuneSelf && r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		up = r == ' '
		return r
	}, s)
}

// trunc keeps the first n characters, or the last -n.
func trunc(n int, s string) string {
	runes := []rune(s)
	switch {
	case n >= 0 && n < len(runes):
		return string(runes[:n])
	case n < 0 && -n < len(runes) && -n > 0:
		return string(runes[len(runes)+n:])
	}
	return s
}

func substr(from, to int, s string) string {
	runes := []rune(s)
	from = max(from, 0)
	if to < 0 || to > len(runes) {
		to = len(runes)
	}
	if from >= to {
		return ""
	}
	return string(runes[from:to])
}

func replaceN(s, old, with string, n int) (string, error) {
	if len(with) > len(old) && (strings.Count(s, old)+1)*(len(with)-len(old)) > maxTemplateBytes {
		return "", errTemplateBytes
	}
	return bounded(strings.Replace(s, old, with, n))
}

func repeat(n int, s string) (string, error) {
	if n < 0 || n > maxTemplateBytes || n*len(s) > maxTemplateBytes {
		return "", errTemplateBytes
	}
	return strings.Repeat(s, n), nil
}

func indent(n int, s string) (string, error) {
	if n < 0 || n > 1000 {
		return "", errors.New("indent: from 0 to 1000 spaces are allowed")
	}
	pad := strings.Repeat(" ", n)
	text, err := replaceN(s, "\n", "\n"+pad, -1)
	return pad + text, err
}

func regexReplaceAll(pattern, s, with string) (string, error) {
	return replaceMatches(pattern, s, func(re *regexp.Regexp) string { return re.ReplaceAllString(s, with) }, with)
}

func regexReplaceAllLiteral(pattern, s, with string) (string, error) {
	return replaceMatches(pattern, s, func(re *regexp.Regexp) string { return re.ReplaceAllLiteralString(s, with) }, with)
}

func replaceMatches(pattern, s string, replace func(*regexp.Regexp) string, with string) (string, error) {
	re, err := compileRegexp(pattern)
	if err != nil {
		return "", err
	}
	// A replacement may hold the whole match in each of its $ references.
	if (len(s)+1)*(len(with)+1) > maxTemplateBytes*16 {
		return "", errTemplateBytes
	}
	return bounded(replace(re))
}

func countMatches(pattern, s string) (int, error) {
	re, err := compileRegexp(pattern)
	if err != nil {
		return 0, err
	}
	return len(re.FindAllStringIndex(s, -1)), nil
}

func b64dec(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err
}

func alignLeft(n int, s string) (string, error) { return align(n, s, true) }

func alignRight(n int, s string) (string, error) { return align(n, s, false) }

// align cuts or pads a text to n characters.
func align(n int, s string, left bool) (string, error) {
	if n < 0 || n > 10_000 {
		return "", errors.New("align: from 0 to 10000 characters are allowed")
	}
	runes := []rune(s)
	switch {
	case len(runes) >= n && left:
		return string(runes[:n]), nil
	case len(runes) >= n:
		return string(runes[len(runes)-n:]), nil
	case left:
		return s + strings.Repeat(" ", n-len(runes)), nil
	default:
		return strings.Repeat(" ", n-len(runes)) + s, nil
	}
}

func fromJSON(s string) (any, error) {
	var v any
	err := json.Unmarshal([]byte(s), &v)
	return v, err
}

func templateBytes(s string) (float64, error) { return valueAs(s, tokenBytes) }

func templateDuration(s string) (float64, error) {
	d, err := valueAs(s, tokenDuration)
	return d / float64(time.Second), err
}

func date(layout string, at time.Time) (string, error) { return bounded(at.Format(layout)) }

func toDateInZone(layout, zone, s string) (time.Time, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.Time{}, err
	}
	return time.ParseInLocation(layout, s, loc)
}

// unixToTime reads days, seconds, milliseconds, microseconds or nanoseconds since 1970 by their number of digits.
func unixToTime(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("unixToTime: %q is no number", s)
	}
	switch len(s) {
	case 5:
		return time.Unix(n*24*3600, 0).UTC(), nil
	case 10:
		return time.Unix(n, 0).UTC(), nil
	case 13:
		return time.UnixMilli(n).UTC(), nil
	case 16:
		return time.UnixMicro(n).UTC(), nil
	case 19:
		return time.Unix(0, n).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("unixToTime: %q has %d digits: 5, 10, 13, 16 or 19 are known", s, len(s))
}

func toFloat(v any) float64 {
	switch v := v.(type) {
	case string:
		f, _ := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f
	case float64:
		return v
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

func toInt(v any) int64 {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
			return n
		}
	}
	f := toFloat(v)
	if math.IsNaN(f) || math.Abs(f) >= math.MaxInt64 {
		return 0
	}
	return int64(f)
}

func fold(f func(a, b int64) (int64, error)) func(...any) (int64, error) {
	return func(args ...any) (int64, error) {
		if len(args) == 0 {
			return 0, errors.New("a number is missing")
		}
		out := toInt(args[0])
		for _, v := range args[1:] {
			var err error
			if out, err = f(out, toInt(v)); err != nil {
				return 0, err
			}
		}
		return out, nil
	}
}

func foldFloat(f func(a, b float64) float64) func(...any) (float64, error) {
	return func(args ...any) (float64, error) {
		if len(args) == 0 {
			return 0, errors.New("a number is missing")
		}
		out := toFloat(args[0])
		for _, v := range args[1:] {
			out = f(out, toFloat(v))
		}
		return out, nil
	}
}

func divide(a, b int64) (int64, error) {
	if b == 0 {
		return 0, errors.New("division by zero")
	}
	return a / b, nil
}

func modulo(a, b int64) (int64, error) {
	if b == 0 {
		return 0, errors.New("division by zero")
	}
	return a % b, nil
}

func round(v any, args ...any) (float64, error) {
	places := 0
	if len(args) > 0 {
		places = int(toInt(args[0]))
	}
	if places < 0 || places > 15 {
		return 0, errors.New("round: from 0 to 15 places are allowed")
	}
	scale := math.Pow10(places)
	return math.Round(toFloat(v)*scale) / scale, nil
}
