//go:build linux

package hybrid

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/netns"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// roleVariable makes this test binary the program that runs a process,
// removeVariable names the folder that goes with that when it is killed.
const (
	roleVariable   = "HYBRID_TEST_SCRIPT"
	removeVariable = "HYBRID_TEST_REMOVE"
)

// TestMain is also the plugin of the tests: it runs a script on its own streams
// and says how it ended.
func TestMain(m *testing.M) {
	if os.Args[0] == netns.Role {
		os.Exit(netns.Main(os.Args[1:], os.Stderr))
	}
	script, ok := os.LookupEnv(roleVariable)
	if !ok {
		os.Exit(m.Run())
	}
	ended := make(chan Exit, 1)
	p, err := Start(Config{
		Room: room(), Argv: Shell(script), Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Ended: func(e Exit) { ended <- e },
		Remove: os.Getenv(removeVariable),
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if os.Getenv(removeVariable) != "" {
		fmt.Println("guarded")
	}
	fmt.Printf("ended %+v\n", <-ended)
	p.Stop()
	stty := exec.Command("stty", "-a")
	stty.Stdin = os.Stdin
	if modes, err := stty.Output(); err == nil { // a terminal
		fmt.Println("echoes:", strings.Contains(string(modes), " echo "))
	}
}

// started is a process whose output the test reads: its end means that nobody has
// it open any more.
type started struct {
	*Process
	out   *bufio.Reader
	ended chan Exit
}

func start(t *testing.T, c Config) *started {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &started{out: bufio.NewReader(r), ended: make(chan Exit, 1)}
	c.Stdout, c.Ended = w, func(e Exit) { s.ended <- e }
	if c.Env == nil {
		c.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	c.Room = room()
	s.Process, err = Start(c)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		_ = r.Close()
	})
	if err := r.SetReadDeadline(time.Now().Add(lab.Patience)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *started) line(t *testing.T) string {
	t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// finished fails the test unless the output is at its end.
func (s *started) finished(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(s.out); err != nil {
		t.Errorf("somebody still has the output: %q, %v", rest, err)
	}
}

func TestExit(t *testing.T) {
	for script, want := range map[string]Exit{
		"exit 0":        {},
		"exit 7":        {Status: 7},
		"kill -KILL $$": {Status: 137, Signal: "KILL"},
	} {
		s := start(t, Config{Argv: Shell(script)})
		if got := <-s.ended; got != want {
			t.Errorf("%s: %+v, want %+v", script, got, want)
		}
	}
}

func TestWhatItRuns(t *testing.T) {
	dir := t.TempDir()
	program := "#!/bin/sh\npwd\necho \"$1 $A\"\n"
	if err := os.WriteFile(filepath.Join(dir, "program"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + dir + ":" + os.Getenv("PATH")
	for _, name := range []string{"program", "./program", filepath.Join(dir, "program")} {
		s := start(t, Config{Argv: []string{name, "x y"}, Dir: dir, Env: []string{path, "A=1"}})
		if where, what := s.line(t), s.line(t); where != dir || what != "x y 1" {
			t.Errorf("%s: %q, %q", name, where, what)
		}
	}
	for _, name := range []string{"no-such-program", "./none"} {
		if _, err := Start(Config{Argv: []string{name}, Dir: dir, Env: []string{path}}); err == nil || !strings.Contains(err.Error(), name[2:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the process started ends with it, asked or not.
func TestStopEndsTheGroup(t *testing.T) {
	for name, script := range map[string]string{
		"children":    "sleep 1000 & sh -c 'sleep 1000' & echo ready; wait",
		"asked":       "trap 'echo asked; exit' TERM; sleep 1000 & echo ready; wait",
		"deaf":        "trap '' TERM INT HUP; sh -c 'sleep 1000; :' & echo ready; sleep 1000; :",
		"leader gone": "trap '' TERM; sh -c 'sleep 1000; :' & echo ready; exit 0",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Argv: Shell(script), Grace: 100 * time.Millisecond})
			s.line(t)
			if name == "leader gone" {
				<-s.ended
			}
			s.Stop()
			if name == "asked" && s.line(t) != "asked" {
				t.Error("it was not asked to end")
			}
			s.finished(t)
			s.Stop()
			select {
			case e := <-s.ended:
				t.Errorf("it was said to have ended by itself: %+v", e)
			default:
			}
		})
	}
}

// plugin runs a script under a plugin of its own.
func plugin(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), roleVariable+"="+script)
	return cmd
}

// A plugin that is killed leaves nobody behind.
func TestKilledPlugin(t *testing.T) {
	cmd := plugin(t, "trap '' HUP; (trap '' TERM; sleep 1000; :) & sleep 1000 & echo ready; wait; sleep 1000")
	folder := filepath.Join(t.TempDir(), "a folder")
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, removeVariable+"="+folder)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := r.SetReadDeadline(time.Now().Add(lab.Patience)); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	for range 2 { // ready, and guarded, in any order
		if line, err := out.ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if rest, err := io.ReadAll(out); err != nil {
		t.Errorf("somebody is left: %q, %v", rest, err)
	}
	// The guard, which has no output, does that after the process has gone.
	for deadline := time.Now().Add(lab.Patience); ; runtime.Gosched() {
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the folder is left")
		}
	}
}

// screen is a terminal with what was shown on it.
type screen struct {
	t *testing.T
	*os.File
	shown *lab.Transcript
}

func newScreen(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	f, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t, f, lab.NewTranscript()}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(s.shown, f)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = f.Close()
		<-copied
	})
	return s
}

func (s *screen) shows(text string) {
	s.t.Helper()
	if err := s.shown.Await(s.t.Context(), text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) types(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s, text); err != nil {
		s.t.Fatal(err)
	}
}

// Keys that are signals are the process's own, and the terminal is as it was after
// it, whatever the process has done to it.
func TestTerminal(t *testing.T) {
	s := newScreen(t, plugin(t, `stty -echo; trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done`))
	s.shows("ready")
	s.types("\x03")
	s.shows("interrupted")
	s.shows("ended {Status:3 Signal:}")
	s.shows("echoes: true")
}

// A shell with job control stops and continues the plugin and its process together.
func TestSuspend(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs bash, a shell with job control: install it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-i")
	cmd.Env = append(os.Environ(), "PS1=here> ", "TERM=dumb", "P="+self)
	s := newScreen(t, cmd)
	s.shows("here> ")
	s.types(roleVariable + `='echo read""y; read x; echo "got <$x>"' "$P"` + "\n")
	s.shows("ready")
	s.types("\x1a")
	s.shows("Stopped")
	s.types("echo still $((40+2))\n")
	s.shows("still 42")
	s.types("fg\n")
	s.types("word\n")
	s.shows("got <word>")
	s.shows("ended {Status:0 Signal:}")
}
