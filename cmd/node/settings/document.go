package settings

import (
	"fmt"
	"maps"
	"reflect"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"rookery"
)

// Hidden stands for a secret wherever settings are shown. A document that
// carries it back keeps the secret that was set before.
const Hidden = "(sealed)"

// EachSecret calls fn with every secret field, by its key.
func (s *Cluster) EachSecret(fn func(key string, value *string) error) error {
	return s.eachTagged("secret", fn)
}

// EachFile calls fn with every field that names a file on the nodes, by its key.
func (s *Cluster) EachFile(fn func(key string, path *string) error) error {
	return s.eachTagged("file", fn)
}

func (s *Cluster) eachTagged(tag string, fn func(key string, value *string) error) error {
	if err := taggedOf("store", tag, reflect.ValueOf(&s.Store).Elem(), fn); err != nil {
		return err
	}
	if err := taggedOf("backup", tag, reflect.ValueOf(&s.Backup).Elem(), fn); err != nil {
		return err
	}
	if err := taggedOf("outbound", tag, reflect.ValueOf(&s.Outbound).Elem(), fn); err != nil {
		return err
	}
	for _, name := range s.DirectoryNames() {
		d := s.Directories[name]
		if err := taggedOf("directories."+name, tag, reflect.ValueOf(&d).Elem(), fn); err != nil {
			return err
		}
		s.Directories[name] = d
	}
	return nil
}

func taggedOf(prefix, tag string, v reflect.Value, fn func(string, *string) error) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get(tag) == "" {
			continue
		}
		if err := fn(prefix+"."+tomlKey(f), v.Field(i).Addr().Interface().(*string)); err != nil {
			return err
		}
	}
	return nil
}

// Hide replaces every secret that is set by Hidden.
func (s *Cluster) Hide() {
	s.EachSecret(func(_ string, v *string) error {
		if *v != "" {
			*v = Hidden
		}
		return nil
	})
}

// KeepSecrets puts the secrets of old where s carries Hidden, for directories
// that have another name now too.
func (s *Cluster) KeepSecrets(old *Cluster) error {
	was := map[string]string{}
	old.renamedAs(s).EachSecret(func(k string, v *string) error { was[k] = *v; return nil })
	return s.EachSecret(func(k string, v *string) error {
		if *v != Hidden {
			return nil
		}
		if was[k] == "" {
			return rookery.E("read settings", rookery.KindInvalid,
				fmt.Errorf("%s: is %q but no secret was set before; set it from a file: rookery config set %s @FILE", k, Hidden, k))
		}
		*v = was[k]
		return nil
	})
}

// renamedAs are the settings with the names that directories have in next.
func (s *Cluster) renamedAs(next *Cluster) *Cluster {
	renamed := *s
	renamed.Directories = maps.Clone(s.Directories)
	for name, d := range next.Directories {
		for _, was := range s.Directories {
			if d.ID != "" && was.ID == d.ID {
				renamed.Directories[name] = was
			}
		}
	}
	return &renamed
}

// GetKey reads one key, or the table below it, of a settings document.
func GetKey(doc []byte, key string) (any, error) {
	var tree map[string]any
	if err := toml.Unmarshal(doc, &tree); err != nil {
		return nil, rookery.E("read settings", rookery.KindInvalid, err)
	}
	var at any = tree
	for _, part := range strings.Split(key, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, unknownKey(key)
		}
		if at, ok = m[part]; !ok {
			return nil, unknownKey(key)
		}
	}
	return at, nil
}

func unknownKey(key string) error {
	return rookery.E("read settings", rookery.KindNotFound, fmt.Errorf("%s: no such key; the keys stand in: rookery config sample", key))
}

// SetKey gives the document with one key changed. The value is TOML (true, 5,
// ["a", "b"]); what is not is taken as text.
func SetKey(doc []byte, key, value string) ([]byte, error) {
	var tree map[string]any
	if err := toml.Unmarshal(doc, &tree); err != nil {
		return nil, rookery.E("change settings", rookery.KindInvalid, err)
	}
	if err := setIn(tree, key, parseValue(value)); err != nil {
		return nil, err
	}
	out, err := toml.Marshal(tree)
	if err != nil {
		return nil, rookery.E("change settings", rookery.KindInvalid, err)
	}
	if s, err := Parse(out); err == nil {
		return s.Document() // sizes and lists as they are always written
	}
	// A text that happens to read as a number or boolean.
	if err := setIn(tree, key, value); err != nil {
		return nil, err
	}
	if out, err = toml.Marshal(tree); err != nil {
		return nil, rookery.E("change settings", rookery.KindInvalid, err)
	}
	s, err := Parse(out)
	if err != nil {
		return nil, rookery.E("change settings", rookery.KindInvalid, fmt.Errorf("%s = %s: %w", key, value, err))
	}
	return s.Document()
}

// setIn puts a value at a key of a document's tree, below tables that it makes.
func setIn(tree map[string]any, key string, value any) error {
	parts := strings.Split(key, ".")
	at := tree
	for _, part := range parts[:len(parts)-1] {
		next, ok := at[part].(map[string]any)
		if !ok {
			if at[part] != nil {
				return unknownKey(key)
			}
			next = map[string]any{}
			at[part] = next
		}
		at = next
	}
	at[parts[len(parts)-1]] = value
	return nil
}

func parseValue(value string) any {
	var v map[string]any
	if err := toml.Unmarshal([]byte("v = "+value), &v); err == nil && len(v) == 1 {
		return v["v"]
	}
	return value
}

// Change is one key that differs between two settings documents.
type Change struct {
	Key string `json:"key"`
	Old any    `json:"old"`
	New any    `json:"new"`
}

// Diff lists the keys that differ, in order.
func Diff(old, new []byte) ([]Change, error) {
	var a, b map[string]any
	if err := toml.Unmarshal(old, &a); err != nil {
		return nil, rookery.E("compare settings", rookery.KindInvalid, err)
	}
	if err := toml.Unmarshal(new, &b); err != nil {
		return nil, rookery.E("compare settings", rookery.KindInvalid, err)
	}
	x, y := map[string]any{}, map[string]any{}
	flatten("", a, x)
	flatten("", b, y)
	var changes []Change
	for k, v := range x {
		if !reflect.DeepEqual(v, y[k]) {
			changes = append(changes, Change{k, v, y[k]})
		}
	}
	for k, v := range y {
		if _, ok := x[k]; !ok {
			changes = append(changes, Change{k, nil, v})
		}
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].Key < changes[j].Key })
	return changes, nil
}

func flatten(prefix string, m, into map[string]any) {
	for k, v := range m {
		if t, ok := v.(map[string]any); ok {
			flatten(joinPrefix(prefix, k), t, into)
			continue
		}
		into[joinPrefix(prefix, k)] = v
	}
}

// IsSecret reports whether the settings key holds a secret.
func IsSecret(key string) bool {
	return strings.HasSuffix(key, ".secret_key") || key == "outbound.smarthost_password" ||
		strings.HasPrefix(key, "directories.") && strings.HasSuffix(key, ".password")
}
