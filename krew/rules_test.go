package krew

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// plugin is a manifest of the Krew index, with all fields that this project
// uses; any other is an error.
type plugin struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Version, Homepage string
		ShortDescription  string `yaml:"shortDescription"`
		Description       string
		Platforms         []platform
	}
}

// platform is one archive of a manifest.
type platform struct {
	Selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	URI, SHA256, Bin string
}

func parse(manifest []byte) (*plugin, error) {
	var p plugin
	d := yaml.NewDecoder(bytes.NewReader(manifest))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("parsing the manifest: %w", err)
	}
	return &p, nil
}

// problems returns what the index's checks, or the people who review for it,
// would refuse.
func (p *plugin) problems() []string {
	var all []string
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	device := regexp.MustCompile(`(?i)^(con|prn|aux|nul|com\d|lpt\d)$`)
	number := `(0|[1-9]\d*)`
	version := regexp.MustCompile(`^v` + number + `\.` + number + `\.` + number + `(-[0-9A-Za-z.-]+)?$`)

	refuse(p.APIVersion != "krew.googlecontainertools.github.com/v1alpha2", "apiVersion %q", p.APIVersion)
	refuse(p.Kind != "Plugin", "kind %q", p.Kind)
	name := p.Metadata.Name
	refuse(!regexp.MustCompile(`^[\w-]+$`).MatchString(name) || device.MatchString(name), "name %q", name)
	refuse(!version.MatchString(p.Spec.Version), "version %q is not v and a semantic version", p.Spec.Version)
	refuse(!strings.HasPrefix(p.Spec.Homepage, "https://"), "homepage %q", p.Spec.Homepage)
	short := p.Spec.ShortDescription
	refuse(short == "" || strings.Contains(short, "\n") || len(short) > 50, "shortDescription %q: one line of at most 50", short)
	for line := range strings.SplitSeq(p.Spec.Description, "\n") {
		refuse(len(line) > 80, "description is not wrapped at 80: %q", line)
		refuse(strings.Contains(line, "kubectl okteto "), "description has an example of use: %q", line)
	}
	refuse(len(p.Spec.Platforms) == 0, "there are no platforms")
	seen := map[string]bool{}
	for _, f := range p.Spec.Platforms {
		all = append(all, f.problems()...)
		key := fmt.Sprint(f.Selector.MatchLabels)
		refuse(seen[key], "two archives for the same platform %s", key)
		seen[key] = true
	}
	return all
}

func (f platform) problems() []string {
	var all []string
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	labels := f.Selector.MatchLabels
	keys := slices.Sorted(maps.Keys(labels))
	refuse(!slices.Equal(keys, []string{"arch", "os"}), "selector names %v, want arch and os", keys)
	refuse(!slices.Contains([]string{"linux", "darwin", "windows"}, labels["os"]), "os %q", labels["os"])
	refuse(!slices.Contains([]string{"386", "amd64", "arm", "arm64", "ppc64le"}, labels["arch"]), "arch %q", labels["arch"])
	refuse(!strings.HasPrefix(f.URI, "https://"), "uri %q", f.URI)
	refuse(!regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(f.SHA256), "sha256 %q", f.SHA256)
	refuse(f.Bin == "", "bin is empty")
	refuse(strings.HasSuffix(f.Bin, ".exe") != (labels["os"] == "windows"), "bin %q: .exe is for Windows, and needed there", f.Bin)
	return all
}
