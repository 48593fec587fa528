//go:build linux

package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// serveIDE is the server that an IDE leaves in the pod: it listens on a unix
// socket, or on any port of the loopback, writes down where, and who it is, and
// tells that to everyone.
func serveIDE(file string) error {
	network, address := "tcp", "127.0.0.1:0"
	if strings.HasSuffix(file, ".sock") {
		network, address = "unix", file
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	me := fmt.Sprint("process ", os.Getpid())
	if err := os.WriteFile(file+".tmp", []byte(l.Addr().String()+" "+me), 0o600); err != nil {
		return err
	}
	if err := os.Rename(file+".tmp", file+".is"); err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, me) }))
}

// bootstrap is a connection of an IDE: a shell that reads a script, and stays for
// as long as the connection is needed.
type bootstrap struct {
	*pod
	client *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func (p *pod) bootstrap(args ...string) *bootstrap {
	p.t.Helper()
	b := &bootstrap{pod: p, client: p.ssh(append(append([]string{"-T"}, args...), "dev", "sh")...)}
	var err error
	if b.stdin, err = b.client.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := b.client.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	b.stdout = bufio.NewReader(out)
	if err := b.client.Start(); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// say runs a line of the script, which prints one line.
func (b *bootstrap) say(line string) string {
	b.t.Helper()
	if _, err := io.WriteString(b.stdin, line+"\n"); err != nil {
		b.t.Fatal(err)
	}
	answer, err := b.stdout.ReadString('\n')
	if err != nil {
		b.t.Fatalf("%s: %v: %s", line, err, b.client.Stderr)
	}
	return strings.TrimSpace(answer)
}

// visit asks a server, through the proxy that ssh -D opens unless that is "".
func visit(address, proxy string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if proxy != "" {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "socks5", Host: proxy})
	}
	client := http.Client{Transport: transport, Timeout: lab.Patience}
	r, err := client.Get("http://" + address)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// VS Code's extension and those like it send a script to a shell, which starts a
// server in the background and says where that listens; they reach it through -D
// or -L of the same connection. The server outlives the connection, and is found
// by the next one.
func TestIDEServer(t *testing.T) {
	for name, start := range map[string]string{
		"background": "%s </dev/null >log 2>&1 &",
		"nohup":      "nohup %s </dev/null >log 2>&1 &",
		"setsid":     "setsid %s </dev/null >log 2>&1 &",
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+" "+network, func(t *testing.T) { ideServer(t, start, network) })
		}
	}
}

func ideServer(t *testing.T, startLine, network string) {
	p := start(t)
	file := filepath.Join(p.work, "server")
	local := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	forward := []string{"-D", local}
	if network == "unix" {
		file += ".sock"
		forward = []string{"-L", local + ":" + file}
	}
	answers := func(address, want string) {
		t.Helper()
		proxy := local
		if network == "unix" {
			address, proxy = local, ""
		}
		var got string
		eventually(t, "the server answers", func() (ok bool) {
			var err error
			got, err = visit(strings.Replace(address, "127.0.0.1", "localhost", 1), proxy)
			return err == nil
		})
		if got != want {
			t.Errorf("the server answers %q, want %q", got, want)
		}
	}
	t.Cleanup(func() { _ = p.ssh("dev", "kill -9 $(sed 's/.* //' "+file+".is)").Run() })
	find := "until [ -e " + file + ".is ]; do sleep 0.01; done; echo $(cat " + file + ".is)"
	b := p.bootstrap(forward...)
	is := b.say(fmt.Sprintf(startLine, self(t)+" ide-server "+file) + " " + find)
	address, who, _ := strings.Cut(is, " ")
	answers(address, who)
	// The laptop is closed: nobody says goodbye.
	shell := b.say("echo $$")
	_ = b.client.Process.Kill()
	_ = b.client.Wait()
	eventually(t, "the shell has ended", func() bool {
		_, err := os.Stat("/proc/" + shell)
		return os.IsNotExist(err)
	})
	again := p.bootstrap(forward...)
	if got := again.say(find); got != is {
		t.Errorf("the server is %q, it was %q", got, is)
	}
	answers(address, who)
	// This one says goodbye.
	again.say(strings.Replace(who, "process", "kill -9", 1) + "; echo killed")
	_ = again.stdin.Close()
	if err := again.client.Wait(); err != nil {
		t.Errorf("the shell ended with %v", err)
	}
}

// JetBrains' IDEs do all over one connection; here a master is it.
func TestOneConnectionForAll(t *testing.T) {
	p := start(t)
	mux := "ControlPath=" + p.path("mux")
	p.background("-o", "ControlMaster=yes", "-o", mux, "dev")
	eventually(t, "the master is there", func() bool { return p.ssh("-o", mux, "-O", "check", "dev").Run() == nil })
	// Nobody but the master can answer: these could not connect.
	shared := []string{"-F", p.path("ssh_config"), "-o", mux, "-o", "ProxyCommand=false"}
	p.write("here", "uploaded")
	p.write("batch", "put "+p.path("here")+" there\nrename there moved\nls -l\n")
	target := echo(t, "tcp", "127.0.0.1:0")
	port := freePort(t)
	for name, test := range map[string]func(*testing.T){
		"sftp": func(t *testing.T) {
			p.run("sftp", append(shared, "-b", p.path("batch"), "dev")...)
			p.run("scp", append(shared, "dev:moved", p.path("back"))...)
			if b, err := os.ReadFile(p.path("back")); string(b) != "uploaded" {
				t.Errorf("what came back is %q, %v", b, err)
			}
		},
		"terminal": func(t *testing.T) {
			if got := p.run("ssh", append(shared, "-tt", "dev", "tty")...); !strings.HasPrefix(got, "/dev/pts/") {
				t.Errorf("got %q", got)
			}
		},
		"exec": func(t *testing.T) {
			if got := p.run("ssh", append(shared, "dev", "uname -sm; id -u")...); !strings.HasPrefix(got, "Linux ") {
				t.Errorf("got %q", got)
			}
		},
		"forward": func(t *testing.T) {
			p.run("ssh", append(shared, "-O", "forward", "-L", fmt.Sprintf("%d:%s", port, target.Addr()), "dev")...)
			mustAsk(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// TRAMP of Emacs types at a shell in a terminal, waits for the prompt that it has
// set, and sends files as text.
func TestTramp(t *testing.T) {
	p := start(t)
	c := p.ssh("-tt", "-o", "ControlMaster=no", "-e", "none", "dev")
	c.Env = append(os.Environ(), "TERM=dumb")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	say := func(line, want string) {
		t.Helper()
		if _, err := io.WriteString(stdin, line+"\n"); err != nil {
			t.Fatal(err)
		}
		eventually(t, want+" comes", func() bool { return strings.Contains(out.String(), want) })
	}
	say(`exec env TERM=dumb INSIDE_EMACS=tramp ENV= HISTFILE=~/.tramp_history PROMPT_COMMAND= PS1=\#\$\  PS2= PS3= /bin/sh -i`, "#")
	say(`PS1='///prompt'"#\$"; PS2=; PROMPT_COMMAND=`, "///prompt#$")
	say("stty -inlcr -onlcr -echo kill '^U' erase '^H'; echo tramp_$((40+2))", "tramp_42")
	say("base64 -d -i >file <<'EOT'\nZnJvbSBlbWFjcw==\nEOT\nstat -c 'size %s' file", "size 10")
	if b, err := os.ReadFile(filepath.Join(p.work, "file")); string(b) != "from emacs" {
		t.Errorf("the file has %q, %v", b, err)
	}
	if _, err := io.WriteString(stdin, "exit 6\n"); err != nil {
		t.Fatal(err)
	}
	if _ = c.Wait(); c.ProcessState.ExitCode() != 6 {
		t.Errorf("status %d", c.ProcessState.ExitCode())
	}
}
