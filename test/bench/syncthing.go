package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// syncthing measures two of Debian's syncthing that sync two folders of this
// machine: no cluster, no network but the loopback.
func (b *bench) syncthing(ctx context.Context) (err error) {
	if _, err := exec.LookPath("syncthing"); err != nil {
		b.report.say("left out: syncthing: %v", err)
		return nil
	}
	if err := b.leave(ctx); err != nil {
		return err
	}
	wanted := b.wantedOf("syncthing")
	ends, err := b.syncthings(ctx, wanted)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopAll(ends)) }()
	for _, t := range wanted {
		took, err := b.syncthingTree(ctx, ends, t)
		if err != nil {
			return err
		}
		b.report.add("syncthing_"+string(t)+"_s", took.Seconds(), "one run, from the pause's end")
		if t == t2 {
			if err := b.localEdits(ctx, "syncthing", ends[0].Folders[t], ends[1].Folders[t]); err != nil {
				return err
			}
		}
	}
	return nil
}

// syncthingTree lets the first device bring a tree to the second.
func (b *bench) syncthingTree(ctx context.Context, ends []*device, t tree) (time.Duration, error) {
	files, err := listFiles(ends[0].Folders[t])
	if err != nil {
		return 0, err
	}
	if err := settle(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	for _, d := range slices.Backward(ends) {
		if err := d.call(ctx, http.MethodPatch, "/rest/config/folders/"+string(t), `{"paused": false}`, nil); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var status struct {
			State                       string
			GlobalFiles, NeedTotalItems int
		}
		if err := ends[1].call(ctx, http.MethodGet, "/rest/db/status?folder="+string(t), "", &status); err != nil {
			return 0, err
		}
		if status.State == "idle" && status.GlobalFiles == len(files) && status.NeedTotalItems == 0 {
			return time.Since(began), nil
		}
		// Asking more often would slow it.
		time.Sleep(100 * time.Millisecond)
	}
}

// device is one syncthing.
type device struct {
	// ID, GUI and Listen are its name and its addresses.
	ID, GUI, Listen string
	// Folders are its copies of the trees.
	Folders map[tree]string

	home   string
	cmd    *exec.Cmd
	output *lab.Transcript
}

// apiKey opens the interface of a device to its own machine.
const apiKey = "bench"

// configuration is what a device is started with: nothing but the other one,
// and the smallest delay, in whole seconds, that the watcher of files can have
// in Debian's version.
const configuration = `<configuration version="36">
{{- $ends := .Ends}}
{{- range $tree, $path := .Self.Folders}}
<folder id="{{$tree}}" path="{{$path}}" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1">
<paused>true</paused>
{{- range $ends}}
<device id="{{.ID}}"></device>
{{- end}}
</folder>
{{- end}}
{{- range .Ends}}
<device id="{{.ID}}"><address>tcp://{{.Listen}}</address></device>
{{- end}}
<gui enabled="true"><address>{{.Self.GUI}}</address><apikey>` + apiKey + `</apikey></gui>
<options>
<listenAddress>tcp://{{.Self.Listen}}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled>
<natEnabled>false</natEnabled>
<startBrowser>false</startBrowser>
<urAccepted>-1</urAccepted>
<autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled>
<setLowPriority>false</setLowPriority>
<reconnectionIntervalS>1</reconnectionIntervalS>
</options>
</configuration>
`

// syncthings starts two devices that know each other, each with a folder for
// each wanted tree, all of them paused, and waits until they are connected.
func (b *bench) syncthings(ctx context.Context, wanted []tree) ([]*device, error) {
	ends := []*device{{Folders: map[tree]string{}}, {Folders: map[tree]string{}}}
	for i, d := range ends {
		d.home = filepath.Join(b.lab.Home, fmt.Sprintf("syncthing-%d", i))
		if out, err := exec.CommandContext(ctx, "syncthing", "generate", "--no-default-folder", "--home", d.home).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("making a syncthing: %w: %s", err, out)
		}
		id, err := exec.CommandContext(ctx, "syncthing", "--home", d.home, "--device-id").Output()
		if err != nil {
			return nil, fmt.Errorf("asking syncthing for its identity: %w", err)
		}
		d.ID = strings.TrimSpace(string(id))
		for _, address := range []*string{&d.GUI, &d.Listen} {
			if *address, err = freeAddress(); err != nil {
				return nil, err
			}
		}
		if err := b.syncthingFolders(ctx, d, wanted, i == 0); err != nil {
			return nil, err
		}
	}
	for _, d := range ends {
		if err := d.start(ctx, ends); err != nil {
			return nil, errors.Join(err, stopAll(ends))
		}
	}
	if err := ends[0].connected(ctx, ends[1].ID); err != nil {
		return nil, errors.Join(err, stopAll(ends))
	}
	return ends, nil
}

// syncthingFolders makes the folders of a device: full ones for the first,
// empty ones for the second.
func (b *bench) syncthingFolders(ctx context.Context, d *device, wanted []tree, full bool) error {
	for _, t := range wanted {
		d.Folders[t] = filepath.Join(d.home, string(t))
		if full {
			var err error
			if d.Folders[t], err = b.copyOf(ctx, t); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(filepath.Join(d.Folders[t], ".stfolder"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress returns an address of the loopback that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts the device and waits until it answers.
func (d *device) start(ctx context.Context, ends []*device) error {
	var config bytes.Buffer
	t, err := template.New("configuration").Parse(configuration)
	if err != nil {
		return err
	}
	if err := t.Execute(&config, map[string]any{"Self": d, "Ends": ends}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.home, "config.xml"), config.Bytes(), 0o600); err != nil {
		return err
	}
	d.cmd = exec.CommandContext(ctx, "syncthing", "serve", "--home", d.home, "--no-browser", "--no-restart", "--no-upgrade")
	d.cmd.Env = append(os.Environ(), "STNODEFAULTFOLDER=1", "STNOUPGRADE=1")
	// It is two processes: killed, the first one would leave the second behind.
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(os.Interrupt) }
	d.output = lab.NewTranscript()
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	if err := d.cmd.Start(); err != nil {
		return err
	}
	return d.await(ctx, "serving", func() bool { return d.call(ctx, http.MethodGet, "/rest/system/ping", "", nil) == nil })
}

// connected waits until another device is connected.
func (d *device) connected(ctx context.Context, id string) error {
	return d.await(ctx, "connected", func() bool {
		var all struct {
			Connections map[string]struct{ Connected bool }
		}
		return d.call(ctx, http.MethodGet, "/rest/system/connections", "", &all) == nil && all.Connections[id].Connected
	})
}

// await asks until a condition is met.
func (d *device) await(ctx context.Context, what string, met func() bool) error {
	const patience, interval = time.Minute, 50 * time.Millisecond
	for end := time.Now().Add(patience); !met(); time.Sleep(interval) {
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("syncthing: not %s within %v; it wrote:\n%s", what, patience, d.output)
		}
	}
	return nil
}

// call asks the device's interface.
func (d *device) call(ctx context.Context, method, path, body string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+d.GUI+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Api-Key", apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("syncthing: %s %s: %s: %s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// stop ends a device that was started.
func (d *device) stop() error {
	if d.cmd == nil || d.cmd.Process == nil {
		return nil
	}
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("ending syncthing: %w", err)
	}
	_ = d.cmd.Wait() // its status says that it was interrupted
	return nil
}

func stopAll(ends []*device) error {
	var err error
	for _, d := range ends {
		err = errors.Join(err, d.stop())
	}
	return err
}
