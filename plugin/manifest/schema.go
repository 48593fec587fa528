package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is a JSON Schema, as JSON has it.
type schema = map[string]any

// shape describes what a field's reader accepts, as far as a schema can tell.
// The reader is there to be asked for the fields of an object. A field without
// a shape is not in the schema.
type shape func(read func(value)) schema

// Patterns of texts that stand for other types. Editors read `yes` as text.
const (
	booleanPattern  = `^([Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$`
	durationPattern = `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`
	quantityPattern = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$`
)

// Schema returns the JSON Schema of a manifest (draft 2020-12), for editors. It
// comes from the same tables of fields that Parse reads by.
func Schema() ([]byte, error) {
	p := &parser{m: &Manifest{}}
	root := objectSchema(p.rootFields())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "okteto.yaml"
	root["description"] = "The manifest of kubectl okteto: development containers in a Kubernetes cluster."
	root["minProperties"] = 1
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rendering the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// objectSchema allows the fields and no others.
func objectSchema(fields []field) schema {
	properties := schema{}
	for _, f := range fields {
		if f.shape == nil {
			continue
		}
		s := nullable(f.shape(f.read))
		s["description"] = f.about
		properties[f.name] = s
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// nullable allows a key without a value, which is as good as absent.
func nullable(s schema) schema {
	null := schema{"type": "null"}
	out := maps.Clone(s)
	if kind, ok := s["type"].(string); ok {
		out["type"] = []any{kind, "null"}
	} else if kinds, ok := s["type"].([]any); ok {
		out["type"] = append(slices.Clone(kinds), "null")
	} else if all, ok := s["anyOf"].([]any); ok {
		out["anyOf"] = append(slices.Clone(all), null)
	} else if len(s) > 0 {
		out = schema{"anyOf": []any{s, null}}
	}
	return out
}

func isAnything(func(value)) schema { return schema{} }

func isNothing(func(value)) schema { return schema{"not": schema{}} }

// isText is any scalar: texts need no quotes.
func isText(func(value)) schema {
	return schema{"type": []any{"string", "number", "boolean"}}
}

func isBoolean(func(value)) schema {
	return schema{"type": []any{"boolean", "string"}, "pattern": booleanPattern}
}

func isInteger(func(value)) schema { return schema{"type": "integer"} }

func isPort(func(value)) schema {
	return schema{"type": "integer", "minimum": 1, "maximum": 65535}
}

func isID(func(value)) schema {
	return schema{"type": "integer", "minimum": 0, "maximum": 1<<31 - 1}
}

func isDuration(func(value)) schema {
	return schema{"type": []any{"string", "integer"}, "pattern": durationPattern, "exclusiveMinimum": 0}
}

func isDurationOrZero(func(value)) schema {
	return schema{"type": []any{"string", "integer"}, "pattern": "^0$|" + durationPattern, "minimum": 0}
}

func isQuantity(func(value)) schema {
	return schema{"type": []any{"string", "number"}, "pattern": quantityPattern, "minimum": 0}
}

func isOneOf(known ...string) shape {
	return func(func(value)) schema { return schema{"enum": known} }
}

func isList(item shape) shape {
	return func(read func(value)) schema { return schema{"type": "array", "items": item(inList(read))} }
}

// inList asks a reader as one item of its list would.
func inList(read func(value)) func(value) {
	return func(v value) {
		v.node = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{v.node}}
		read(v)
	}
}

func isAnyOf(shapes ...shape) shape {
	return func(read func(value)) schema {
		all := make([]any, len(shapes))
		for i, s := range shapes {
			all[i] = s(read)
		}
		return schema{"anyOf": all}
	}
}

// isObject asks the reader for the fields that it knows.
func isObject(read func(value)) schema {
	var fields []field
	read(value{p: &parser{m: &Manifest{}}, node: &yaml.Node{Kind: yaml.MappingNode}, asked: &fields})
	return objectSchema(fields)
}

// isOneOrMany is a text or a list of texts.
func isOneOrMany(read func(value)) schema { return isAnyOf(isText, isList(isText))(read) }

// isPairs is a map of names to texts, or a list of NAME=text.
func isPairs(read func(value)) schema {
	text := schema{"type": "object", "additionalProperties": nullable(isText(read))}
	return schema{"anyOf": []any{text, isList(isText)(read)}}
}

// isResourceList is a map of resources to quantities.
func isResourceList(read func(value)) schema {
	quantity := nullable(isQuantity(read))
	return schema{
		"type":                 "object",
		"properties":           schema{"cpu": quantity, "memory": quantity, "ephemeral-storage": quantity},
		"patternProperties":    schema{"/|^hugepages-": quantity},
		"additionalProperties": false,
	}
}

func isDevs(func(value)) schema {
	dev := objectSchema((&devReader{p: &parser{m: &Manifest{}}, dev: newDev("")}).fields())
	return schema{"type": "object", "additionalProperties": nullable(dev)}
}

func isServices(func(value)) schema {
	d := &devReader{p: &parser{m: &Manifest{}}, dev: &Dev{}, service: true}
	return schema{"type": "array", "items": objectSchema(serviceFields(d.fields()))}
}

// isKubernetes is a type of the Kubernetes API, as decode reads it.
func isKubernetes[T any](func(value)) schema { return kubernetesSchema(reflect.TypeFor[T]()) }

func kubernetesSchema(t reflect.Type) schema {
	switch t.Kind() {
	case reflect.Pointer:
		return kubernetesSchema(t.Elem())
	case reflect.Struct:
		properties := schema{}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			properties[name] = nullable(kubernetesSchema(t.Field(i).Type))
		}
		return schema{"type": "object", "properties": properties, "additionalProperties": false}
	case reflect.Slice:
		return schema{"type": "array", "items": nullable(kubernetesSchema(t.Elem()))}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": nullable(kubernetesSchema(t.Elem()))}
	case reflect.Bool:
		return isBoolean(nil)
	case reflect.Int32, reflect.Int64:
		return isInteger(nil)
	default:
		return isText(nil)
	}
}
