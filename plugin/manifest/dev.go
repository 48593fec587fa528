package manifest

import (
	"math"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// devReader reads one development container.
type devReader struct {
	p   *parser
	dev *Dev
	// at is the place of the whole, workdirAt that of the field; service is
	// true inside the section services, which has fewer fields.
	at, workdirAt value
	service       bool
	// environment is what the field sets, envFiles the places of the files.
	environment map[string]string
	envFiles    []value
	// ports are the local ports that it opens.
	ports []placedPort
	// claim is the place of the field persistentVolume, or of its enabled;
	// targets are the places of sync folders and volumes; synced is true
	// when the manifest names sync folders, good or bad.
	claim   *value
	targets []target
	synced  bool
	// services are the further workloads, in order.
	services []*devReader
}

// target is a path of the dev container with the place that names it.
type target struct {
	path string
	at   value
}

// fields are those of dev.<name>, sorted by name.
func (d *devReader) fields() []field {
	dev := d.dev
	if dev == nil {
		dev = &Dev{}
	}
	replicas := isNothing
	if d.service {
		replicas = isInteger
	}
	return []field{
		{"affinity", "Where the pod may run. Replaces the workload's.", isKubernetes[corev1.Affinity], func(v value) { dev.Pod.Affinity = decode[corev1.Affinity](v) }},
		{"args", "Arguments of a service's command.", isOneOrMany, d.args},
		{"autoDown", "After what time without a laptop the cluster gives the workload back; 8h when unset, 0 for never.", isDurationOrZero, func(v value) { dev.AutoDown = v.autoDown(dev.AutoDown) }},
		{"autocreate", "Make the workload when there is none.", isBoolean, func(v value) { dev.Autocreate, _ = v.boolean() }},
		{"command", "What up runs. A text with spaces runs by a shell.", isOneOrMany, func(v value) { dev.Command = v.command(dev.Command) }},
		{"container", "The container to replace; the first one when unset.", isText, func(v value) { dev.Container, _ = v.text() }},
		{"envFiles", "Dotenv files; a later one wins over an earlier one, environment over all.", isOneOrMany, func(v value) { d.envFiles = v.itemsOrOne() }},
		{"environment", "Variables, added to the container's. A name alone takes its value from the laptop.", isPairs, d.readEnvironment},
		{"externalVolumes", "Claims that exist already, as claim:path or claim:subpath:path.", isList(isText), d.externalVolumes},
		{"forward", "Local ports that lead to the pod or a Service.", isList(isAnyOf(isText, isObject)), func(v value) {
			forwards, ports := v.forwards(false)
			dev.Forward, d.ports = forwards, append(d.ports, ports...)
		}},
		{"image", "The image to develop in; the container's when unset.", isText, d.image},
		{"imagePullPolicy", "IfNotPresent when unset.", isOneOf("Always", "IfNotPresent", "Never"), func(v value) { dev.ImagePullPolicy = v.pullPolicy() }},
		{"initContainer", "Image and resources of the agent.", isObject, func(v value) {
			v.object([]field{
				{"image", "The agent's image.", isText, func(v value) { dev.Agent.Image, _ = v.text() }},
				{"resources", "The agent's resources.", isObject, func(v value) { dev.Agent.Resources = v.resources() }},
			})
		}},
		{"interface", "Local address of forwards: localhost or an IP address.", isText, func(v value) { dev.Interface = v.address() }},
		{"lifecycle", "What becomes of the container's hooks; they stay when unset.", isAnyOf(isBoolean, isObject), func(v value) { dev.Lifecycle = v.lifecycle() }},
		{"metadata", "Labels and annotations, added to what up creates.", isObject, func(v value) { dev.Metadata = v.metadata() }},
		{"mode", "Where the code runs: sync, in the pod, or hybrid, on the laptop.", isOneOf(string(ModeSync), string(ModeHybrid)), func(v value) { dev.Mode = v.mode() }},
		{"name", "Name of the workload, or kind/name; the key when unset.", isText, d.name},
		{"network", "How the command of hybrid mode reaches the cluster by its names; proxy when unset.", isOneOf(networks()...), d.network},
		{"nodeSelector", "Labels of the nodes that the pod may run on. Replaces the workload's.", isPairs, func(v value) { dev.Pod.NodeSelector = v.labels(false) }},
		{"paths", "Where a custom resource has its pod template, and what takes its pods away.", isObject, d.paths},
		{"persistentVolume", "A claim for the workspace.", isObject, d.persistentVolume},
		{"priorityClassName", "The pod's priority class; the workload's when unset.", isText, func(v value) { dev.Pod.PriorityClassName, _ = v.text() }},
		{"probes", "Which of the container's probes are kept; none when unset.", isAnyOf(isBoolean, isObject), func(v value) { dev.Probes = v.probes() }},
		{"remote", "Local port for SSH.", isPort, func(v value) {
			port, _ := v.port()
			dev.Remote, d.ports = port, append(d.ports, placedPort{localEnd{port: port}, v})
		}},
		{"replicas", "Number of a service's pods; a development container is one.", replicas, d.replicas},
		{"resources", "Requests and limits; what is not named keeps the container's.", isObject, func(v value) { dev.Resources = v.resources() }},
		{"reverse", "Ports or sockets of the pod that lead to the laptop, as remotePort:localPort.", isList(isText), func(v value) { dev.Reverse = v.reverses() }},
		{"secrets", "Files that only the development container gets, as local:remote or local:remote:mode.", isList(isText), d.secrets},
		{"securityContext", "User, groups and privileges; the container's when unset.", isObject, func(v value) { dev.Pod.SecurityContext = v.securityContext() }},
		{"selector", "Finds the workload by its labels instead of its name.", isPairs, func(v value) { dev.Selector = v.labels(true) }},
		{"serviceAccount", "The pod's service account; the workload's when unset.", isText, func(v value) { dev.Pod.ServiceAccount, _ = v.text() }},
		{"services", "Further workloads that run the code of the development container, detached.", isServices, d.readServices},
		{"sshServerPort", "The agent's port in the pod; 2222 when unset.", isPort, func(v value) { dev.SSHServerPort, _ = v.port() }},
		{"sync", "Folders to sync, as local:remote.", isAnyOf(isList(isAnyOf(isText, isObject)), isObject), d.sync},
		{"timeout", "How long to wait; a whole number is seconds.", isAnyOf(isDuration, isObject), func(v value) { dev.Timeout = v.timeout(dev.Timeout) }},
		{"tolerations", "Added to the workload's.", isKubernetes[[]corev1.Toleration], func(v value) {
			if list := decode[[]corev1.Toleration](v); list != nil {
				dev.Pod.Tolerations = *list
			}
		}},
		{"volumes", "Folders of the container that survive on the claim.", isList(isText), d.volumes},
		{"workdir", "Working directory; the image's when unset. In hybrid mode a folder of the laptop.", isText, func(v value) { d.workdirAt = v }},
	}
}

// read reads the fields, then fills in and checks what depends on several.
func (d *devReader) read(v value) {
	if !v.isMap() && !v.null() {
		v.want("a map")
		return
	}
	if !d.service {
		d.timeoutFromEnvironment()
	}
	if v.isMap() {
		fields := d.fields()
		if d.service {
			fields = serviceFields(fields)
		}
		v.object(fields)
	}
	if d.dev.Mode == ModeHybrid {
		d.hybrid(v)
	} else {
		d.onlyHybrid(v)
		d.workdir()
		d.defaultSync()
	}
	d.fillEnvironment()
	d.checkTargets()
	if d.service {
		return
	}
	d.finishServices()
	d.checkSharing()
	d.finishClaim()
}

func (d *devReader) name(v value) {
	s, ok := v.expanded()
	if !ok {
		return
	}
	kind, s, found := strings.Cut(s, "/")
	if !found {
		kind, s = "", kind
	}
	if found && !kindPattern().MatchString(kind) {
		v.fail("the kind %q must be a word as kubectl takes it, such as statefulset or rollouts.argoproj.io", kind)
	}
	if name, ok := v.name(s); ok {
		d.dev.Workload = strings.TrimPrefix(kind+"/"+name, "/")
	}
}

// kindPattern matches kinds with or without a group.
func kindPattern() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(\.[a-z0-9-]+)*$`)
}

// pathPattern matches names that are joined by dots.
func pathPattern() *regexp.Regexp {
	return regexp.MustCompile(`^\.?[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$`)
}

func (d *devReader) paths(v value) {
	read := func(to *string) func(value) {
		return func(v value) {
			s, ok := v.text()
			if ok && !pathPattern().MatchString(s) {
				v.fail("must be names joined by dots, such as spec.template, not %q", s)
			}
			*to = strings.TrimPrefix(s, ".")
		}
	}
	p := &d.dev.Paths
	v.object([]field{
		{"template", "The pod template; spec.template when unset.", isText, read(&p.Template)},
		{"replicas", "The number of pods, set to 0; spec.replicas when unset.", isText, read(&p.Replicas)},
		{"suspend", "What is set to true, where there is no number of pods.", isText, read(&p.Suspend)},
	})
	if p.Replicas != "" && p.Suspend != "" {
		v.fail("has both \"replicas\" and \"suspend\": one of them takes the pods away")
	}
}

// image keeps the container's own image where a variable of the text is not
// set: the usual one, OKTETO_BUILD_…_IMAGE, exists only after a build.
func (d *devReader) image(v value) {
	image, ok := v.expanded()
	if ok && image == "" && v.node.Value != "" {
		v.warn("is %q, which is empty: the container keeps its image", v.node.Value)
	}
	d.dev.Image = image
}

// args reads the arguments that a service's command may have beside it.
func (d *devReader) args(v value) {
	d.dev.Args = v.texts()
	if !d.service {
		d.dev.Args = nil
		v.warn("has no effect: what \"up\" runs is \"command\", with its arguments")
	}
}

// replicas reads the number of a service's pods.
func (d *devReader) replicas(v value) {
	n, ok := v.integer()
	switch {
	case !ok:
	case !d.service:
		v.fail("replicas cannot be specified for the main dev container: it is one pod; remove the field")
	case n < 0 || n > math.MaxInt32:
		v.fail("must be between 0 and %d, not %d", math.MaxInt32, n)
	default:
		d.dev.Replicas = new(int32(n))
	}
}

// workdir reads the working directory in the container.
func (d *devReader) workdir() {
	v := d.workdirAt
	if v.node == nil {
		return
	}
	s, ok := v.text()
	if !ok {
		return
	}
	if !path.IsAbs(s) {
		v.fail("the path %q must be absolute, such as /app", s)
		return
	}
	d.dev.Workdir = path.Clean(s)
}

// timeoutFromEnvironment takes the default of the timeout from the variable
// that Okteto has for it.
func (d *devReader) timeoutFromEnvironment() {
	if d.p.opts.Lookup == nil {
		return
	}
	if s, ok := d.p.opts.Lookup("OKTETO_TIMEOUT"); ok && s != "" {
		if t, err := time.ParseDuration(s); err == nil && t > 0 {
			d.dev.Timeout.Default = t
			return
		}
		d.at.warn("has the default timeout: the variable OKTETO_TIMEOUT is %q, not a duration such as 90s", s)
	}
}

// checkPorts finds local ports and sockets that are asked for twice, the root
// forwards included.
func (d *devReader) checkPorts(root []placedPort) {
	seen := map[localEnd]bool{}
	for _, p := range slices.Concat(root, d.ports) {
		switch {
		case !seen[p.localEnd]:
			seen[p.localEnd] = true
		case p.socket != "":
			p.at.fail("socket %s is listed multiple times, please check your forwards configuration", p.socket)
		case p.port != 0:
			p.at.fail("port %d is listed multiple times, please check your forwards configuration", p.port)
		}
	}
}

// command reads a command. An empty one keeps the default.
func (v value) command(unset Command) Command {
	if v.isList() {
		var argv []string
		for _, item := range v.items() {
			s, _ := item.text()
			argv = append(argv, s)
		}
		if len(argv) == 0 {
			return unset
		}
		return Command{Argv: argv}
	}
	if !v.scalar() {
		v.want("text or a list")
		return unset
	}
	s := strings.TrimSpace(v.node.Value)
	if s == "" {
		return unset
	}
	return Command{Argv: []string{s}, Shell: strings.ContainsAny(s, " \t\n")}
}

func (v value) pullPolicy() corev1.PullPolicy {
	s, ok := v.text()
	policy := corev1.PullPolicy(s)
	if ok && !slices.Contains([]corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, policy) {
		v.fail("supported values are \"Always\", \"IfNotPresent\" and \"Never\", not %q", s)
	}
	return policy
}

// address reads the local address of forwards.
func (v value) address() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	if _, err := netip.ParseAddr(s); err != nil && s != "localhost" {
		v.fail("must be \"localhost\" or an IP address such as 0.0.0.0, not %q", s)
	}
	return s
}

// timeout reads a duration, or one for each kind of waiting.
func (v value) timeout(unset Timeout) Timeout {
	out := unset
	if !v.isMap() {
		out.Default = v.duration(out.Default)
		return out
	}
	v.object([]field{
		{"default", "Bounds requests and connecting; 60s when unset.", isDuration, func(v value) { out.Default = v.duration(out.Default) }},
		{"resources", "Bounds the wait for the pod; 120s when unset.", isDuration, func(v value) { out.Resources = v.duration(out.Resources) }},
	})
	return out
}

// longest bounds durations.
const longest = 365 * 24 * time.Hour

// autoDown reads the time without a laptop. The laptop tells every 15 seconds
// that it is there.
func (v value) autoDown(unset time.Duration) time.Duration {
	const shortest = 30 * time.Second
	t, ok := v.span()
	switch {
	case !ok:
		return unset
	case t != 0 && t < shortest || t > longest:
		v.fail("must be at least 30s and at most a year, or 0 for never, not %s", v.node.Value)
		return unset
	}
	return t
}

// duration reads a time that is longer than nothing.
func (v value) duration(unset time.Duration) time.Duration {
	t, ok := v.span()
	switch {
	case !ok:
		return unset
	case t <= 0 || t > longest:
		v.fail("a timeout must be longer than 0 and at most a year, not %s", v.node.Value)
		return unset
	}
	return t
}

// span reads a Go duration, or a number of seconds.
func (v value) span() (t time.Duration, ok bool) {
	if !v.scalar() {
		v.want("a duration such as 90s")
		return 0, false
	}
	t, err := time.ParseDuration(v.node.Value)
	if v.node.Tag == "!!int" {
		var seconds int64
		if err = v.node.Decode(&seconds); err == nil {
			t = time.Duration(min(max(seconds, -1), int64(longest/time.Second)+1)) * time.Second
		}
	}
	if err != nil {
		v.want("a duration such as 90s or 2m, or a number of seconds")
		return 0, false
	}
	return t, true
}

// local makes a path of the laptop absolute; ~ is the user's home.
func (p *parser) local(s string) string {
	if rest, ok := strings.CutPrefix(s, "~"); ok && (rest == "" || rest[0] == '/' || rest[0] == '\\') && p.opts.Lookup != nil {
		for _, name := range []string{"HOME", "USERPROFILE"} {
			if home, ok := p.opts.Lookup(name); ok && home != "" {
				return filepath.Join(home, rest)
			}
		}
	}
	if filepath.IsAbs(s) || onDrive(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(p.opts.Dir, s)
}
