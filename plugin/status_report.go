package plugin

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// report is what `status -o json` prints; docs/commands.md names its fields.
type report struct {
	identity
	Holder   string        `json:"holder,omitempty"`
	Since    time.Time     `json:"since,omitzero"`
	Forwards []string      `json:"forwards,omitempty"`
	AutoDown string        `json:"autoDown,omitempty"`
	Sync     syncReport    `json:"sync"`
	Agent    config.Status `json:"agent"`
	// Services are those of the development container.
	Services []workload.ServiceState `json:"services,omitempty"`

	// session is what the `up` of this machine says; nil when there is none.
	session *devsession.SyncStatus
	// asked is when the agent last said something; zero when it did not yet.
	asked time.Time
}

// identity is which development container a report is about, and where it is.
type identity struct {
	Name     string `json:"name"`
	Workload string `json:"workload"`
	// Mode is the mode of development: sync or hybrid.
	Mode      string `json:"mode"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
}

// syncReport is the state of sync, of the source that knows most.
type syncReport struct {
	// Source is "session", the `up` of this machine, or "pod", which does not
	// know what is pending.
	Source string `json:"source"`
	// Connected tells whether the session, or any, is connected to the pod.
	Connected bool                      `json:"connected"`
	Folders   []devsession.FolderStatus `json:"folders"`
}

func newReport(env *active) *report {
	r := &report{}
	r.take(env)
	return r
}

// take fills in what the cluster says.
func (r *report) take(env *active) {
	r.Name, r.Namespace, r.Pod, r.Forwards = env.Dev, env.cluster.Namespace, env.Pod.Name, env.Forwards
	r.Workload = strings.ToLower(string(env.Kind)) + "/" + env.Name
	r.Mode = env.Clone.Annotations[workload.AnnotationMode]
	r.Services = env.Services
	r.Holder, r.Since = "", time.Time{}
	r.AutoDown = ""
	if env.AutoDown > 0 {
		r.AutoDown = env.AutoDown.String()
	}
	if !env.Expired {
		r.Holder, r.Since = env.Holder, env.Since
	}
}

// sync returns the state of sync.
func (r *report) sync() syncReport {
	if r.session != nil {
		return syncReport{Source: "session", Connected: r.session.Connected, Folders: r.session.Folders}
	}
	s := syncReport{Source: "pod", Folders: []devsession.FolderStatus{}}
	for _, root := range r.Agent.Roots {
		s.Connected = s.Connected || root.State != "waiting"
		s.Folders = append(s.Folders, devsession.FolderStatus{
			Remote: root.Path, State: root.State, Reason: root.Reason, Files: root.Files, Bytes: root.Bytes,
		})
	}
	return s
}

// show prints a report.
func (o *statusOptions) show(r *report) error {
	r.Sync = r.sync()
	var out strings.Builder
	var err error
	if o.output == "json" {
		err = json.NewEncoder(&out).Encode(r)
	} else {
		err = r.print(&out)
	}
	if err != nil {
		return fmt.Errorf("rendering the status: %w", err)
	}
	return o.board.Show(out.String())
}

// print prints a report for people.
func (r *report) print(out *strings.Builder) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(key, format string, args ...any) {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", key, fmt.Sprintf(format, args...))
	}
	row("Name", "%s (%s in namespace %s)", r.Name, r.Workload, r.Namespace)
	if r.Mode == string(manifest.ModeHybrid) {
		row("Mode", "%s: the command runs on the laptop, with the pod's environment", r.Mode)
	}
	row("Pod", "%s", r.Pod)
	row("Container", "%s", describeRunner(r.Agent.Runner))
	if r.Holder != "" {
		row("Held by", "%s since %s", r.Holder, r.Since.Local().Format(time.DateTime))
	} else {
		row("Held by", "nobody")
	}
	if r.AutoDown != "" {
		row("Given back", "after %s without a laptop", r.AutoDown)
	}
	for _, f := range r.Sync.Folders {
		row("Sync", "%s", describeFolder(f))
		if n := len(f.Conflicts); n > 0 {
			row("", "%s: `kubectl okteto sync conflicts` lists them", console.Count(n, "conflict copy"))
		}
		for _, held := range f.Held {
			row("", "held: %s", console.Path(held))
		}
	}
	for _, forward := range r.Forwards {
		row("Forward", "%s", forward)
	}
	for _, s := range r.Services {
		row("Service", "%s: %d of %s ready", s.Workload, s.Ready, console.Count(int(s.Replicas), "pod"))
	}
	return table.Flush()
}

func describeRunner(r config.RunnerStatus) string {
	switch {
	case !r.Running && r.Starts == 0:
		return "not started yet"
	case !r.Running:
		return "ended, waiting for its restart"
	case r.Starts == 2:
		return fmt.Sprintf("running since %s, restarted once", r.Started.Local().Format(time.DateTime))
	case r.Starts > 2:
		return fmt.Sprintf("running since %s, restarted %d times", r.Started.Local().Format(time.DateTime), r.Starts-1)
	default:
		return "running since " + r.Started.Local().Format(time.DateTime)
	}
}

// describeFolder says how one synced folder is.
func describeFolder(f devsession.FolderStatus) string {
	text := fmt.Sprintf("%s: %s, %s, %s", console.Path(f.Remote), f.State, console.Count(f.Files, "file"), console.Bytes(f.Bytes))
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	if f.PendingFiles > 0 {
		text += fmt.Sprintf("; %s pending for %s", pendingText(f), lagText(f))
	}
	if up, down := f.SentBytesPerSecond, f.ReceivedBytesPerSecond; up > 0 || down > 0 {
		text += fmt.Sprintf(", %s/s up, %s/s down", console.Bytes(up), console.Bytes(down))
	}
	return text
}
