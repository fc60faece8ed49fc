package main

import (
	"bytes"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/query/teamtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mindscope": main})
}

// TestScripts runs the command line as a user does: testdata/script/*.txtar. Each script finds a port that is taken in
// $TAKEN and free ones in $HTTP, $GRPC and $OTLPHTTP; the command `ready` waits until the server at $HTTP is, and
// `send` sends it the spans of a file, in which $NOW is the present.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *rewrite,
		Setup: func(env *testscript.Env) error {
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { taken.Close() })
			env.Setenv("TAKEN", taken.Addr().String())
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TODAY", time.Now().UTC().Format(time.DateOnly))
			for _, name := range []string{"HTTP", "GRPC", "OTLPHTTP"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "send": send, "reload": reload, "bill": bill, "tell": tell, "until": until},
	})
}

// ready waits until the server is ready, or with ! until it no longer answers.
func ready(ts *testscript.TestScript, neg bool, _ []string) {
	url := "http://" + ts.Getenv("HTTP") + "/-/ready"
	last := errors.New("it still answers")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		if neg && err != nil || !neg && err == nil && resp.StatusCode == http.StatusOK {
			return
		}
		if err != nil {
			last = err
		}
	}
	ts.Fatalf("waited for the server: %v", last)
}

func send(ts *testscript.TestScript, _ bool, args []string) {
	body := strings.ReplaceAll(ts.ReadFile(args[0]), "$NOW", strconv.FormatInt(time.Now().UnixNano(), 10))
	resp, err := http.Post("http://"+ts.Getenv("OTLPHTTP")+"/v1/traces", "application/json", strings.NewReader(body))
	ts.Check(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("sent %s: status %d", args[0], resp.StatusCode)
	}
}

// reload lets the server read its files anew.
func reload(ts *testscript.TestScript, _ bool, _ []string) {
	resp, err := http.Post("http://"+ts.Getenv("HTTP")+"/-/reload", "", nil)
	ts.Check(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("reload: status %d", resp.StatusCode)
	}
}

// bill writes a provider's bill of today.
func bill(ts *testscript.TestScript, _ bool, args []string) {
	text := "\ufeffDate,Model,Amount\n$TODAY,alpha-1,$0.0060\n$TODAY,ALPHA-1,0.004\n$TODAYT00:00:00Z,gamma,0.5\n$TODAY,omega,3\n"
	text = strings.ReplaceAll(text, "$TODAY", ts.Getenv("TODAY"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// tell posts a scenario (see query/teamtest) to the server's OTLP port.
func tell(ts *testscript.TestScript, _ bool, args []string) {
	traces, logs, err := teamtest.Parse(ts.ReadFile(args[0]))
	ts.Check(err)
	spans, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	ts.Check(err)
	records, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	ts.Check(err)
	for path, body := range map[string][]byte{"/v1/traces": spans, "/v1/logs": records} {
		resp, err := http.Post("http://"+ts.Getenv("OTLPHTTP")+path, "application/x-protobuf", bytes.NewReader(body))
		ts.Check(err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			ts.Fatalf("send to %s: %s", path, resp.Status)
		}
	}
}

// until runs a command again and again until it prints a text: answers may be some seconds old.
func until(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err := ts.Exec(args[1], args[2:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("%v never printed %q", args[1:], args[0])
}

func TestExitCodes(t *testing.T) {
	f := func(want int, args ...string) {
		t.Helper()
		var out, errOut bytes.Buffer
		if got := run(t.Context(), args, &out, &errOut); got != want {
			t.Errorf("%q: exit code %d, want %d\n%s", args, got, want, &errOut)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f(exitOK, "version")
	f(exitOK, "--help")
	f(exitOK, "serve", "--help")
	f(exitError, "serve", "--memory", "--listen", taken.Addr().String())
	f(exitUsage)
	f(exitUsage, "srve")
	f(exitUsage, "serve", "--colour")
	f(exitUsage, "serve", "--retention", "soon")
	f(exitUsage, "serve", "--config", filepath.Join(t.TempDir(), "missing.yaml"))
}

// TestFlagsAreTheDescribedOnes: docs/cli.md names the flags of serve from the settings.
func TestFlagsAreTheDescribedOnes(t *testing.T) {
	described := map[string]bool{"--config": true}
	for _, s := range config.Describe() {
		if s.Flag != "" {
			described[s.Flag] = true
		}
	}
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, f := range command.Flags {
			if !described["--"+f.Name] {
				t.Errorf("--%s is not described in internal/config/describe.go", f.Name)
			}
			delete(described, "--"+f.Name)
		}
	}
	if len(described) > 0 {
		t.Errorf("serve does not have the flags %v", described)
	}
}
