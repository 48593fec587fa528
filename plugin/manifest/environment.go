package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
	"k8s.io/apimachinery/pkg/util/validation"
)

// readEnvironment reads a map of names to values or a list of NAME=value. A
// name alone takes its value from the laptop.
func (d *devReader) readEnvironment(v value) {
	d.environment = map[string]string{}
	if v.isMap() {
		for _, e := range v.entries() {
			if e.null() {
				d.inherit(e, e.key.Value)
			} else if s, ok := e.expanded(); ok {
				d.set(e, e.key.Value, s)
			}
		}
		return
	}
	if !v.isList() {
		v.want("a map of names to values, or a list of NAME=value")
		return
	}
	for _, item := range v.items() {
		if !item.scalar() {
			item.want("text such as NAME=value")
			continue
		}
		name, s, ok := strings.Cut(item.node.Value, "=")
		if !ok {
			d.inherit(item, name)
		} else if s, ok := item.expand(s); ok {
			d.set(item, name, s)
		}
	}
}

// inherit takes a variable from the laptop; one that is not set there is left
// out.
func (d *devReader) inherit(v value, name string) {
	if d.p.opts.Lookup != nil {
		if s, ok := d.p.opts.Lookup(name); ok {
			d.set(v, name, s)
			return
		}
	}
	v.warn("names the variable %s, which is not set here: it is left out", name)
}

// set adds a variable.
func (d *devReader) set(v value, name, s string) {
	if problems := validation.IsRelaxedEnvVarName(name); len(problems) > 0 {
		v.fail("%q is not the name of a variable: %s", name, brief(problems))
		return
	}
	if reserved(name) {
		v.warn("sets %s, which the dev container has already: it is left out", name)
		return
	}
	if _, twice := d.environment[name]; twice {
		v.fail("the variable %s is set twice", name)
	}
	d.environment[name] = s
}

// reserved tells the variables that every dev container gets from us.
func reserved(name string) bool {
	return name == "OKTETO_NAMESPACE" || name == "OKTETO_NAME" || name == "OKTETO_USERNAME"
}

// fillEnvironment adds what the env files set and the field environment does
// not.
func (d *devReader) fillEnvironment() {
	all := map[string]string{}
	for _, v := range d.envFiles {
		s, ok := v.expanded()
		if !ok {
			continue
		}
		if s == "" {
			v.fail("the name of an env file is empty")
			continue
		}
		file := d.p.local(s)
		d.dev.EnvFiles = append(d.dev.EnvFiles, file)
		if d.p.opts.ReadFile == nil {
			continue
		}
		maps.Copy(all, d.readEnvFile(v, file))
	}
	maps.Copy(all, d.environment)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d.dev.Environment = append(d.dev.Environment, EnvVar{Name: name, Value: all[name]})
	}
}

// readEnvFile reads one env file. An empty value stands for the laptop's, and
// is left out where there is none.
func (d *devReader) readEnvFile(v value, file string) map[string]string {
	content, err := d.p.opts.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		v.fail("the env file %q does not exist", file)
		return nil
	}
	if err != nil {
		v.fail("the env file %q cannot be read: %v", file, err)
		return nil
	}
	all, err := parseDotenv(content, d.p.opts.Lookup)
	if err != nil {
		v.fail("the env file %q is not valid: %v", file, err)
		return nil
	}
	for name, s := range all {
		if s == "" && d.p.opts.Lookup != nil {
			s, _ = d.p.opts.Lookup(name)
			all[name] = s
		}
		if s == "" || reserved(name) {
			delete(all, name)
		}
	}
	return all
}

// mark delimits stand-ins for values; no text file has it.
const mark = "\x01"

// parseDotenv parses a dotenv file. Its variables refer to what the file sets
// before, else to what lookup finds: each name that it uses is set first, to a
// stand-in that no quoting can harm.
func parseDotenv(content []byte, lookup Lookup) (map[string]string, error) {
	if bytes.Contains(content, []byte(mark)) {
		return nil, errors.New("it has control characters")
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	own, err := godotenv.UnmarshalBytes(content)
	if err != nil {
		return nil, dotenvError(content, err)
	}
	for name := range own {
		if problems := validation.IsRelaxedEnvVarName(name); len(problems) > 0 {
			return nil, errors.New("every line must be NAME=value")
		}
	}
	if lookup == nil {
		return own, nil
	}
	var head strings.Builder
	var standIns []string
	uses := regexp.MustCompile(`\$\{?([A-Z0-9_]+)`)
	for _, m := range uses.FindAllSubmatch(content, -1) {
		name := string(m[1])
		if s, ok := lookup(name); ok {
			standIn := mark + strconv.Itoa(len(standIns)) + mark
			standIns = append(standIns, standIn, s)
			fmt.Fprintf(&head, "%s=%s\n", name, standIn)
		}
	}
	all, err := godotenv.UnmarshalBytes(append([]byte(head.String()), content...))
	if err != nil {
		return nil, dotenvError(content, err)
	}
	values := strings.NewReplacer(standIns...)
	for name := range own {
		own[name] = values.Replace(all[name])
	}
	return own, nil
}

// dotenvError says where an env file is wrong without what is in it: the
// library's own text quotes the rest of the file, secrets included.
func dotenvError(content []byte, err error) error {
	text := err.Error()
	if strings.HasPrefix(text, "unterminated quoted value") {
		return errors.New("a quoted value has no end")
	}
	if _, near, ok := strings.Cut(text, "in variable name near "); ok {
		if rest, err := strconv.Unquote(near); err == nil {
			lines := strings.Count(string(content), "\n") - strings.Count(rest, "\n")
			return fmt.Errorf("line %d must be NAME=value", lines+1)
		}
	}
	return errors.New("every line must be NAME=value")
}
