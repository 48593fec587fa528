package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/ignore"
)

type syncExplainOptions struct {
	factory *Factory
	file    string
	name    string
	output  string
	paths   []string
}

const syncExplainLong = `Say for each path whether it is synced, and which line of which file decides.

It reads the manifest and the ignore files of this machine: neither a cluster
nor a running 'up' is needed. A path need not exist; one that ends with a slash
means a folder.`

func newSyncExplainCmd(f *Factory) *cobra.Command {
	o := &syncExplainOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "explain PATH...",
		Short: "Say whether paths are synced, and which ignore pattern decides",
		Long:  syncExplainLong,
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().StringVar(&o.name, "name", "", "development container, where the manifest has several")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

// Complete takes the paths.
func (o *syncExplainOptions) Complete(_ *cobra.Command, args []string) error {
	o.paths = args
	return nil
}

// Validate wants paths.
func (o *syncExplainOptions) Validate() error {
	if len(o.paths) == 0 {
		return usagef("sync explain needs a path")
	}
	for _, p := range o.paths {
		if p == "" {
			return usagef("an empty path means nothing; the folder itself is called .")
		}
	}
	return validateOutput(o.output)
}

// explained is the answer about one path, as `-o json` prints it.
type explained struct {
	Path   string `json:"path"`
	Synced bool   `json:"synced"`
	// Folder is the synced folder that has the path, Remote the path in the
	// pod.
	Folder string `json:"folder,omitempty"`
	Remote string `json:"remote,omitempty"`
	Exists bool   `json:"exists"`
	Reason string `json:"reason"`
	// Above is the folder above that the reason is about, relative to Folder.
	Above   string `json:"above,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Pattern string `json:"pattern,omitempty"`
	// Text says all of it in a sentence.
	Text string `json:"text"`
}

// Run answers for each path.
func (o *syncExplainOptions) Run(*cobra.Command) error {
	dev, err := o.dev()
	if err != nil {
		return err
	}
	answers := make([]explained, 0, len(o.paths))
	for _, p := range o.paths {
		found, err := o.explain(dev, p)
		if err != nil {
			return err
		}
		answers = append(answers, found...)
	}
	return o.print(o.factory.Streams.Out, answers)
}

// dev returns the development container of the manifest or, without a
// manifest, what `up NAME` would sync: this folder.
func (o *syncExplainOptions) dev() (*manifest.Dev, error) {
	m, err := o.factory.Manifest(o.file)
	if errors.Is(err, manifest.ErrNotFound) && o.file == "" && o.name != "" {
		m := manifest.Default(o.name, "", o.factory.Dir)
		dev, err := m.Select("")
		if err == nil {
			// The workload knows where the folder goes, and it is not asked.
			dev.Sync[0].Remote = ""
		}
		return dev, err
	}
	if err != nil {
		return nil, err
	}
	return m.Select(o.name)
}

// explain answers for one path, once per synced folder that has it: several
// only if one folder of this machine goes to several of the pod.
func (o *syncExplainOptions) explain(dev *manifest.Dev, given string) ([]explained, error) {
	full := given
	if !filepath.IsAbs(full) {
		full = filepath.Join(o.factory.Dir, full)
	}
	full = filepath.Clean(full)
	var answers []explained
	longest := -1
	for _, s := range dev.Sync {
		rel, err := filepath.Rel(s.Local, full)
		if err != nil || !filepath.IsLocal(rel) || len(s.Local) < longest {
			continue
		}
		if len(s.Local) > longest {
			// A folder inside another one is a root of its own.
			longest, answers = len(s.Local), nil
		}
		answer, err := explainIn(dev, s, filepath.ToSlash(rel), endsWithSlash(given))
		if err != nil {
			return nil, err
		}
		answer.Path = given
		answers = append(answers, answer)
	}
	if answers == nil {
		return []explained{outside(dev, given, full)}, nil
	}
	return answers, nil
}

func endsWithSlash(p string) bool { return os.IsPathSeparator(p[len(p)-1]) }

// outside is the answer about a path that no synced folder has.
func outside(dev *manifest.Dev, given, full string) explained {
	_, err := os.Lstat(full)
	locals := make([]string, len(dev.Sync))
	for i, s := range dev.Sync {
		locals[i] = s.Local
	}
	return explained{
		Path: given, Exists: err == nil, Reason: "outside",
		Text: "not synced: outside of every synced folder (" + strings.Join(locals, ", ") + ")",
	}
}

// explainIn answers for a path of a synced folder, relative to it.
func explainIn(dev *manifest.Dev, s manifest.SyncFolder, rel string, dir bool) (explained, error) {
	x, err := engine.NewExplainer(engine.Config{Root: s.Local, Exclude: nestedFolders(dev, s), GitIgnore: dev.GitIgnore})
	if err != nil {
		return explained{}, fmt.Errorf("%s: %w", s.Local, err)
	}
	defer func() { _ = x.Close() }()
	e := x.Explain(rel, dir)
	a := explained{
		Synced: e.Synced, Folder: s.Local, Exists: e.Exists, Reason: string(e.Reason), Above: e.Above,
		File: e.Pattern.File, Line: e.Pattern.Line, Pattern: e.Pattern.Pattern,
	}
	if e.Synced && s.Remote != "" {
		a.Remote = path.Join(s.Remote, rel)
	}
	a.Text = sentence(e, a.Remote)
	return a, nil
}

// sentence says whether a path is synced and why.
func sentence(e engine.Explanation, remote string) string {
	text := "not synced: "
	if e.Synced {
		text = "synced"
		if remote != "" {
			text += " to " + remote
		}
		text += ": "
	}
	text += reasonText(e)
	if e.Opener.File != "" {
		text += "; looked into, since something in it may be kept by " + place(e.Opener)
	}
	if !e.Exists {
		text += " (there is nothing at this path)"
	}
	return text
}

// reasonText puts the reason into words.
func reasonText(e engine.Explanation) string {
	what := "it"
	if e.Above != "" {
		what = "its folder " + e.Above
	}
	switch e.Reason {
	case engine.ReasonRoot:
		return "it is a synced folder itself"
	case engine.ReasonNoPattern:
		return "no pattern names it"
	case engine.ReasonPattern:
		return what + " is " + verb(e.Pattern) + " by " + place(e.Pattern)
	case engine.ReasonIgnoreFile:
		return "the ignore file belongs to this machine"
	case engine.ReasonTemporary:
		return what + " has a name that sync uses for its own temporary files"
	case engine.ReasonExcluded:
		return what + " is another synced folder's or a volume's"
	case engine.ReasonSymlink:
		return e.Above + " is a symbolic link, which is synced as a link and never followed"
	case engine.ReasonSpecial:
		return "it is " + e.Detail
	default:
		return "its name cannot travel: " + e.Detail
	}
}

func verb(r ignore.Result) string {
	if r.Ignored {
		return "ignored"
	}
	return "kept"
}

// place names the deciding line.
func place(r ignore.Result) string {
	if r.File == ignore.DefaultsName {
		return "default: " + r.Pattern
	}
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Pattern)
}

func (o *syncExplainOptions) print(w io.Writer, answers []explained) error {
	if o.output == "json" {
		return json.NewEncoder(w).Encode(answers)
	}
	for _, a := range answers {
		if _, err := fmt.Fprintf(w, "%s: %s\n", a.Path, a.Text); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}
