package restore

import (
	"encoding/json"
	"slices"
	"strings"
)

// Entry is a field manager's entry in an object's metadata, with the names that
// the API has for it.
type Entry struct {
	Manager     string          `json:"manager,omitempty"`
	Operation   string          `json:"operation,omitempty"`
	APIVersion  string          `json:"apiVersion,omitempty"`
	Time        string          `json:"time,omitempty"`
	FieldsType  string          `json:"fieldsType,omitempty"`
	FieldsV1    json.RawMessage `json:"fieldsV1,omitempty"`
	Subresource string          `json:"subresource,omitempty"`
}

// fieldSet is a managed-fields set (FieldsV1): keys are path elements such as
// "f:spec", values are nested sets.
type fieldSet = map[string]any

func decodeFields(e Entry) fieldSet {
	var set fieldSet
	if json.Unmarshal(e.FieldsV1, &set) != nil || set == nil {
		return fieldSet{}
	}
	return set
}

// within returns the set below a path; nil when the path is not owned.
func within(set fieldSet, path ...string) fieldSet {
	for _, p := range path {
		next, ok := set["f:"+p].(fieldSet)
		if !ok {
			return nil
		}
		set = next
	}
	return set
}

// owns tells whether an entry owns the field at a path.
func owns(e Entry, path []string) bool {
	return within(decodeFields(e), path...) != nil
}

// ours tells whether an entry is a swap's.
func ours(e Entry) bool { return e.Manager == FieldManager }

// HasOurs tells whether one of the entries is a swap's.
func HasOurs(entries []Entry) bool { return slices.ContainsFunc(entries, ours) }

// OwnersOf returns who owns the field at a path, without the sets of fields.
// Several managers may own one field together.
func OwnersOf(entries []Entry, path []string) []Entry {
	var owners []Entry
	for _, e := range entries {
		if !ours(e) && owns(e, path) {
			e.FieldsV1 = nil
			owners = append(owners, e)
		}
	}
	return owners
}

// OwnKeys returns the keys of metadata.labels or metadata.annotations that
// a swap owns, alone when alone is true; sorted.
func OwnKeys(entries []Entry, field string, alone bool) []string {
	mine, others := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		to := others
		if ours(e) {
			to = mine
		}
		for k := range within(decodeFields(e), "metadata", field) {
			if name, ok := strings.CutPrefix(k, "f:"); ok {
				to[name] = true
			}
		}
	}
	var keys []string
	for k := range mine {
		if !alone || !others[k] {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// handBack returns the entries without ours. When nobody else owns
// the field at the path by then, the former owners do again.
func handBack(entries, former []Entry, path []string) ([]Entry, error) {
	var kept []Entry
	for _, e := range entries {
		if !ours(e) {
			kept = append(kept, e)
		}
	}
	if slices.ContainsFunc(kept, func(e Entry) bool { return owns(e, path) }) {
		return kept, nil
	}
	for _, f := range former {
		i := slices.IndexFunc(kept, func(e Entry) bool {
			return e.Manager == f.Manager && e.Operation == f.Operation &&
				e.Subresource == f.Subresource && e.APIVersion == f.APIVersion
		})
		if i < 0 {
			i = len(kept)
			kept = append(kept, f)
		}
		set := decodeFields(kept[i])
		at := set
		for _, p := range path {
			if within(at, p) == nil {
				at["f:"+p] = fieldSet{}
			}
			at = within(at, p)
		}
		raw, err := json.Marshal(set)
		if err != nil {
			return nil, err
		}
		kept[i].FieldsType = "FieldsV1"
		kept[i].FieldsV1 = raw
	}
	return kept, nil
}
