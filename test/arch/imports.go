package arch

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// layer is a row of the house: what a package may import of ours.
type layer struct {
	// dir is a folder or a pattern; the first row that matches counts.
	dir string
	// may are the folders or patterns that it may import.
	may []string
	// why is the reason.
	why string
}

// layers is the picture of the packages, from the top down. Arrows point down
// only; tests may look anywhere.
func layers() []layer {
	return []layer{
		{"cmd/kubectl-okteto", []string{"plugin"}, "main is an adapter around plugin"},
		{"cmd/agent", []string{"agent"}, "main is an adapter around agent"},
		{"plugin", []string{"plugin/...", "agent/config", "syncproto/...", "tunnel"},
			"the commands are the top of the laptop's side, and see of the agent only the contract"},
		{"plugin/devsession", []string{"plugin/workload", "plugin/pace", "plugin/sshclient", "plugin/hybrid", "plugin/clusternet", "plugin/netns", "plugin/manifest", "plugin/console", "plugin/control", "agent/config", "agent/mounts", "syncproto/...", "tunnel", "datagram"},
			"a dev session puts the lower packages together"},
		{"plugin/clusternet", []string{"plugin/sshclient", "datagram"}, "ways into the cluster need of SSH how connections are joined, and what a pod's refusal is"},
		{"plugin/workload", []string{"plugin/manifest", "plugin/pace", "plugin/redial", "agent/config", "restore"},
			"the swap renders a manifest and the agent's arguments into a pod template; it knows nothing of connections to pods"},
		{"plugin/sshclient", []string{"agent/config", "agent/attach", "agent/frame", "datagram"},
			"an SSH client needs a net.Conn, the names of the contract and the framing of UDP"},
		{"plugin/hybrid", []string{"agent/mounts", "plugin/netns"}, "a process of the laptop knows of the pod that it stands for only what is told of its mounts"},
		{"plugin/netns", nil, "a namespace knows nothing of where its traffic goes"},
		{"plugin/redial", nil, "a dialer knows nothing of whom it dials"},
		{"plugin/pace", nil, "how long to wait is arithmetic"},
		{"plugin/manifest", nil, "parsing is pure and at the bottom"},
		{"plugin/control", nil, "the protocol knows nothing of what is asked"},
		{"plugin/console", nil, "output knows nothing of what it shows"},
		{"agent", []string{"agent/...", "syncproto/..."}, "the agent never imports the plugin: it is a program of its own"},
		{"agent/config", nil, "both binaries import the contract, so that it must import neither"},
		{"agent/frame", nil, "how bytes are cut knows nothing of what they mean"},
		{"agent/attach", []string{"agent/frame"}, "both binaries import the contract of sessions, so that it must import neither"},
		{"agent/mounts", []string{"agent/frame"}, "both binaries import the contract of mounts, so that it must import neither"},
		{"agent/autodown", []string{"agent/config", "restore"}, "what ends an environment knows nothing of what is in it"},
		{"agent/...", []string{"agent/config", "agent/attach", "agent/frame", "agent/mounts", "syncproto/...", "datagram"},
			"the agent's parts are put together in agent, never in each other"},
		{"syncproto", nil, "the wire stands alone"},
		{"syncproto/ignore", nil, "patterns are pure text"},
		{"syncproto/watch", nil, "events know nothing of what is done with them"},
		{"syncproto/chunk", []string{"syncproto"}, "chunks know the wire, and nothing of files"},
		{"syncproto/engine", []string{"syncproto/..."}, "sync is a library: it must run without our programs"},
		{"syncproto/...", []string{"syncproto", "syncproto/tree", "syncproto/ignore", "syncproto/merge", "syncproto/stage", "syncproto/chunk"},
			"sync is a library, and the engine is its top"},
		{"restore", nil, "both programs give originals back: what that takes is pure, and written once"},
		{"datagram", nil, "both programs carry UDP: how is written once, over any stream"},
		{"tunnel", nil, "a tunnel is a net.Conn and nothing else"},
		{"tunnel/...", []string{"tunnel"}, "the tunnel's fakes know the tunnel alone"},
		{"krew", nil, "the release files need no product code"},
		{"test/...", []string{"..."}, "tests may look anywhere"},
	}
}

// ban forbids an import by name, where the reason is worth its own line.
type ban struct {
	from, what string
	why        string
}

func bans() []ban {
	return []ban{
		{"agent/...", "k8s.io/...", "the agent is small: what it asks of the API server are a few objects by their paths"},
		{"syncproto/...", "k8s.io/...", "sync runs between any two ends of a byte stream"},
		{"plugin/devsession", "k8s.io/client-go/...", "a dev session reaches the cluster through workload and tunnel, " +
			"so that its tests need neither"},
	}
}

// dependency is a row of the third-party code that we stand on.
type dependency struct {
	// path is an import path or a pattern.
	path string
	// dirs are the packages of the product that import it, or patterns; tests
	// may use any dependency that has a row. Nil means that only tests do.
	dirs []string
	// why is the reason for it and for keeping it there.
	why string
}

func dependencies() []dependency {
	return []dependency{
		{"github.com/creack/pty", []string{"agent/runner"}, "ptys are the runner's"},
		{"github.com/gliderlabs/ssh", []string{"agent/sshd"}, "the SSH server is one package"},
		{"github.com/go-logr/logr", []string{"cmd/kubectl-okteto"}, "what klog is given to write to"},
		{"github.com/google/go-cmp/...", nil, "readable differences in tests"},
		{"github.com/google/nftables/...", []string{"plugin/netns"}, "rules of the kernel are written by a library that knows their bytes"},
		{"github.com/gorilla/websocket", []string{"tunnel/tunneltest"}, "the pod's side of a port-forward, for tests"},
		{"github.com/joho/godotenv", []string{"plugin/manifest"}, "dotenv files are part of the manifest"},
		{"github.com/kballard/go-shellquote", []string{"agent/runner"}, "an SSH command is one string, and the image may have no shell"},
		{"github.com/klauspost/compress/zstd", []string{"syncproto"}, "the wire compresses; zstd is its only dependency"},
		{"github.com/mdlayher/netlink", []string{"plugin/netns"}, "routes, by what nftables comes with"},
		{"github.com/moby/spdystream/spdy", []string{"tunnel"}, "the fallback of port-forward"},
		{"github.com/pkg/sftp", []string{"agent/runner"}, "SFTP is served where the files are: in the dev container"},
		{"github.com/rjeczalik/notify", []string{"syncproto/watch"}, "its kinds of events differ by system, and one file hides that"},
		{"github.com/rogpeppe/go-internal/diff", []string{"plugin"}, "what up --diff prints"},
		{"github.com/rogpeppe/go-internal/...", nil, "script tests"},
		{"github.com/santhosh-tekuri/jsonschema/v6", nil, "whether the schema for editors takes what the parser takes"},
		{"github.com/spf13/cobra", []string{"plugin"}, "cobra stops at plugin: below it are plain arguments"},
		{"github.com/zeebo/blake3", []string{"syncproto/chunk", "syncproto/tree"}, "two packages decide what a digest is: of a content, and of a tree"},
		{"go.yaml.in/yaml/v3", []string{"plugin/manifest"}, "only its nodes carry line numbers"},
		{"golang.org/x/crypto/ssh/...", []string{"agent/sshd", "plugin", "plugin/devsession", "plugin/sshclient"},
			"both ends of SSH, and the types of keys that are handed to them"},
		{"golang.org/x/net/dns/dnsmessage", []string{"plugin/clusternet"}, "messages of DNS are not cut by our own hands"},
		{"golang.org/x/net/http/httpproxy", []string{"plugin/clusternet"}, "the laptop's proxy counts for what net/http would use it for"},
		{"golang.org/x/net/proxy", []string{"plugin/clusternet"}, "the laptop's proxy may speak SOCKS"},
		{"golang.org/x/net/nettest", nil, "what a net.Conn must do"},
		{"golang.org/x/sync/errgroup", []string{"..."}, "goroutines that end together: all but standard library"},
		{"golang.org/x/sys/cpu", []string{"plugin/sshclient"}, "the cipher depends on what the processor does in hardware"},
		{"golang.org/x/sys/unix", []string{"agent/runner", "plugin/hybrid", "plugin/netns", "plugin/sshclient", "syncproto/stage", "syncproto/tree", "syncproto/watch"},
			"system calls that package os has not: waiting for any child, cloning and locking a file, resolving a path at once, naming an error number"},
		{"golang.org/x/sys/windows", []string{"plugin/hybrid", "plugin/sshclient", "syncproto/stage"}, "the same on Windows, and its console"},
		{"golang.org/x/text/unicode/norm", []string{"syncproto/ignore", "syncproto/tree"}, "names that look the same are one on macOS, and to a pattern"},
		{"golang.org/x/term", []string{"plugin", "plugin/hybrid", "plugin/sshclient"}, "raw mode of the user's terminal"},
		{"k8s.io/api/...", []string{"plugin/manifest", "plugin/workload", "tunnel", "tunnel/tunneltest"}, "types of the API"},
		{"k8s.io/apimachinery/...", []string{"plugin", "plugin/manifest", "plugin/workload", "tunnel", "tunnel/tunneltest"},
			"types that go with client-go"},
		{"k8s.io/cli-runtime/...", []string{"cmd/kubectl-okteto", "plugin"}, "kubectl's flags and streams belong to the commands"},
		{"k8s.io/client-go/...", []string{"plugin", "plugin/workload", "tunnel", "tunnel/tunneltest"},
			"the factory builds clients; workloads and port-forwards use them; nothing else talks to the API server"},
		{"k8s.io/klog/v2", []string{"cmd/kubectl-okteto"}, "client-go logs through a global that only main may set"},
		{"k8s.io/streaming/...", []string{"plugin/workload", "tunnel", "tunnel/tunneltest"}, "the framing of exec and port-forward, with client-go"},
		{"pgregory.net/rapid", nil, "property tests"},
		{"sigs.k8s.io/yaml", []string{"plugin"}, "Kubernetes objects as kubectl prints them, and golden files of them"},
	}
}

func importRules() []rule {
	return []rule{
		{"layers", "", checkLayers},
		{"bans", "", checkBans},
		{"dependencies", "", checkDependencies},
		{"one-file", "what differs by system stays behind one file", checkOneFile},
		{"go-mod", "tests run the real thing in-process and compare with the standard library or go-cmp", checkGoMod},
	}
}

func checkLayers(m *module) []finding {
	var found []finding
	m.product(func(p *pkg, f *source) {
		i := slices.IndexFunc(layers(), func(l layer) bool { return matches(l.dir, p.dir) })
		if i < 0 {
			found = append(found, m.at(f.ast.Name.Pos(), "package %s has no row in layers(): say where it stands in the house", p.dir))
			return
		}
		l := layers()[i]
		for _, i := range f.imports {
			if dir, ok := m.own(i.path); ok && !matchesAny(l.may, dir) {
				found = append(found, m.at(i.pos, "%s must not import %s: %s", p.dir, dir, l.why))
			}
		}
	})
	return found
}

func checkBans(m *module) []finding {
	var found []finding
	m.product(func(p *pkg, f *source) {
		for _, b := range bans() {
			for _, i := range f.imports {
				if matches(b.from, p.dir) && matches(b.what, i.path) {
					found = append(found, m.at(i.pos, "%s must not import %s: %s", p.dir, i.path, b.why))
				}
			}
		}
	})
	return found
}

func checkDependencies(m *module) []finding {
	var found []finding
	m.files(func(p *pkg, f *source) {
		for _, i := range f.imports {
			if _, own := m.own(i.path); own || m.standard(i.path) {
				continue
			}
			row := slices.IndexFunc(dependencies(), func(d dependency) bool { return matches(d.path, i.path) })
			if row < 0 {
				found = append(found, m.at(i.pos, "%s has no row in dependencies(): say who needs it and why", i.path))
				continue
			}
			d := dependencies()[row]
			if !f.test && !matches("test/...", p.dir) && !matchesAny(d.dirs, p.dir) {
				who := "tests"
				if len(d.dirs) > 0 {
					who = strings.Join(d.dirs, ", ")
				}
				found = append(found, m.at(i.pos, "%s must not import %s, only %s may: %s", p.dir, i.path, who, d.why))
			}
		}
	})
	return found
}

// importers returns, for each row of dependencies, the packages of the product
// that import it, sorted.
func (m *module) importers() map[string][]string {
	sets := map[string]map[string]bool{}
	m.product(func(p *pkg, f *source) {
		for _, i := range f.imports {
			for _, d := range dependencies() {
				if !matches(d.path, i.path) || matches("test/...", p.dir) {
					continue
				}
				if sets[d.path] == nil {
					sets[d.path] = map[string]bool{}
				}
				sets[d.path][p.dir] = true
			}
		}
	})
	lists := map[string][]string{}
	for path, set := range sets {
		lists[path] = slices.Sorted(maps.Keys(set))
	}
	return lists
}

func checkOneFile(m *module) []finding {
	const notify = "github.com/rjeczalik/notify"
	var found []finding
	first := ""
	m.product(func(_ *pkg, f *source) {
		for _, i := range f.imports {
			switch {
			case i.path != notify:
			case first == "":
				first = f.path
			default:
				found = append(found, m.at(i.pos, "%s is imported here and in %s", notify, first))
			}
		}
	})
	return found
}

func checkGoMod(m *module) []finding {
	text, err := fs.ReadFile(m.fsys, "go.mod")
	if err != nil {
		return []finding{in("go.mod", "%v", err)}
	}
	banned := regexp.MustCompile(`github\.com/stretchr/testify|go\.uber\.org/mock|/gomock|/moq\b|/mockery|onsi/g(inkgo|omega)`)
	var found []finding
	for i, line := range strings.Split(string(text), "\n") {
		if name := banned.FindString(line); name != "" {
			found = append(found, finding{path: "go.mod", line: i + 1, text: "no assertion or mock library: " + name})
		}
	}
	return found
}
