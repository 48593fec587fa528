package manifest

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// pairs reads a map of names to texts, or a list of NAME=text. Each is checked
// as it is found; a name without a text has the empty one.
func (v value) pairs(expand bool, check func(v value, name, text string)) map[string]string {
	out := map[string]string{}
	add := func(v value, name, text string) {
		if expand {
			var ok bool
			if text, ok = v.expand(text); !ok {
				return
			}
		}
		if _, twice := out[name]; twice {
			v.fail("%q is set twice", name)
		}
		check(v, name, text)
		out[name] = text
	}
	switch {
	case v.isMap():
		for _, e := range v.entries() {
			if e.null() {
				add(e, e.key.Value, "")
			} else if s, ok := e.text(); ok {
				add(e, e.key.Value, s)
			}
		}
	case v.isList():
		for _, item := range v.items() {
			if s, ok := item.text(); ok {
				name, text, _ := strings.Cut(s, "=")
				add(item, name, text)
			}
		}
	default:
		v.want("a map of names to texts, or a list of NAME=text")
	}
	return out
}

// labels reads Kubernetes labels.
func (v value) labels(expand bool) map[string]string {
	return v.pairs(expand, func(v value, name, text string) {
		v.qualifiedName("a label", name)
		if problems := validation.IsValidLabelValue(text); len(problems) > 0 {
			v.fail("%q is not a label value: %s", text, brief(problems))
		}
	})
}

// annotations reads Kubernetes annotations, whose values are expanded.
func (v value) annotations() map[string]string {
	return v.pairs(true, func(v value, name, _ string) { v.qualifiedName("an annotation", name) })
}

func (v value) qualifiedName(kind, name string) {
	if problems := validation.IsQualifiedName(name); len(problems) > 0 {
		v.fail("%q is not a name for %s: %s", name, kind, brief(problems))
	}
}

// brief is the first finding of Kubernetes's own checks, without its examples.
func brief(problems []string) string {
	first, _, _ := strings.Cut(problems[0], " (e.g. ")
	return first
}

func (v value) metadata() Metadata {
	var m Metadata
	v.object([]field{
		{"annotations", "Annotations.", isPairs, func(v value) { m.Annotations = v.annotations() }},
		{"labels", "Labels.", isPairs, func(v value) { m.Labels = v.labels(false) }},
	})
	return m
}

func (v value) resources() corev1.ResourceRequirements {
	var r corev1.ResourceRequirements
	v.object([]field{
		{"limits", "What the container may use at most.", isResourceList, func(v value) { r.Limits = v.resourceList() }},
		{"requests", "What the container is promised.", isResourceList, func(v value) { r.Requests = v.resourceList() }},
	})
	return r
}

// resourceList reads quantities by resource. Names without a domain are the
// ones that Kubernetes has for containers.
func (v value) resourceList() corev1.ResourceList {
	known := []string{string(corev1.ResourceCPU), string(corev1.ResourceMemory), string(corev1.ResourceEphemeralStorage)}
	out := corev1.ResourceList{}
	for _, e := range v.entries() {
		name := e.key.Value
		if !slices.Contains(known, name) && !strings.Contains(name, "/") && !strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) {
			e.unknownName(v.path, known)
			continue
		}
		if e.null() {
			continue
		}
		if q, ok := e.quantity(); ok {
			out[corev1.ResourceName(name)] = q
		}
	}
	return out
}

// quantity reads an amount of a resource, which is never negative.
func (v value) quantity() (resource.Quantity, bool) {
	if !v.scalar() {
		v.want("a quantity such as 500m or 2Gi")
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(v.node.Value)
	if err != nil || q.Sign() < 0 {
		v.want("a quantity such as 500m or 2Gi")
		return resource.Quantity{}, false
	}
	return q, true
}

func (v value) securityContext() *SecurityContext {
	sc := &SecurityContext{}
	var capabilities corev1.Capabilities
	v.object([]field{
		{"allowPrivilegeEscalation", "May a process gain more privileges than its parent.", isBoolean, func(v value) { sc.AllowPrivilegeEscalation = v.booleanPointer() }},
		{"capabilities", "Linux capabilities.", isObject, func(v value) {
			v.object([]field{
				{"add", "Capabilities to add.", isList(isText), func(v value) { capabilities.Add = v.capabilities() }},
				{"drop", "Capabilities to drop.", isList(isText), func(v value) { capabilities.Drop = v.capabilities() }},
			})
			sc.Capabilities = &capabilities
		}},
		{"fsGroup", "The group that owns the pod's volumes.", isID, func(v value) { sc.FSGroup = v.id() }},
		{"readOnlyRootFilesystem", "Only volumes can be written to.", isBoolean, func(v value) { sc.ReadOnlyRootFilesystem = v.booleanPointer() }},
		{"runAsGroup", "The group that processes run as.", isID, func(v value) { sc.RunAsGroup = v.id() }},
		{"runAsNonRoot", "Refuse to run as root.", isBoolean, func(v value) { sc.RunAsNonRoot = v.booleanPointer() }},
		{"runAsUser", "The user that processes run as.", isID, func(v value) { sc.RunAsUser = v.id() }},
	})
	if sc.RunAsNonRoot != nil && *sc.RunAsNonRoot && sc.RunAsUser != nil && *sc.RunAsUser == 0 {
		v.fail("\"runAsNonRoot\" is true, but \"runAsUser\" is 0, which is root")
	}
	return sc
}

func (v value) booleanPointer() *bool {
	b, ok := v.boolean()
	if !ok {
		return nil
	}
	return &b
}

// id reads a user or group id.
func (v value) id() *int64 {
	n, ok := v.integer()
	if !ok {
		return nil
	}
	if n < 0 || n > 1<<31-1 {
		v.fail("an id must be between 0 and %d, not %d", 1<<31-1, n)
		return nil
	}
	return &n
}

func (v value) capabilities() []corev1.Capability {
	var out []corev1.Capability
	for _, item := range v.items() {
		if s, ok := item.text(); ok {
			out = append(out, corev1.Capability(s))
		}
	}
	return out
}

// decode reads a Kubernetes type as strictly as the rest of the manifest. It
// is nil when something in it is wrong, which has then been said.
func decode[T any](v value) *T {
	before := len(v.p.problems)
	out := new(T)
	v.decodeInto(reflect.ValueOf(out).Elem())
	if len(v.p.problems) > before {
		return nil
	}
	return out
}

// decodeInto follows the JSON names of a type. It knows the kinds that the
// types of affinity and tolerations are made of.
func (v value) decodeInto(out reflect.Value) {
	if v.null() {
		return
	}
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		v.decodeInto(out.Elem())
	case reflect.Struct:
		fields := make([]field, out.NumField())
		for i := range fields {
			name, _, _ := strings.Cut(out.Type().Field(i).Tag.Get("json"), ",")
			fields[i] = field{name: name, read: func(v value) { v.decodeInto(out.Field(i)) }}
		}
		v.object(fields)
	case reflect.Slice:
		items := v.items()
		out.Set(reflect.MakeSlice(out.Type(), len(items), len(items)))
		for i, item := range items {
			item.decodeInto(out.Index(i))
		}
	case reflect.Map:
		out.Set(reflect.MakeMap(out.Type()))
		for _, e := range v.entries() {
			element := reflect.New(out.Type().Elem()).Elem()
			e.decodeInto(element)
			out.SetMapIndex(reflect.ValueOf(e.key.Value).Convert(out.Type().Key()), element)
		}
	case reflect.String:
		s, _ := v.text()
		out.SetString(s)
	case reflect.Bool:
		b, _ := v.boolean()
		out.SetBool(b)
	case reflect.Int32, reflect.Int64:
		n, ok := v.integer()
		if ok && out.OverflowInt(n) {
			v.fail("the number %d is too large", n)
			return
		}
		out.SetInt(n)
	default:
		v.fail("cannot be read into %s", out.Type())
	}
}
