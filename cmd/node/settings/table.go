package settings

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Setting is what is known of one key of the settings.
type Setting struct {
	// Name is the key as config set takes it; NAME stands for a directory's.
	Name string
	// Kind is what its value is, Default what it is unless it was set.
	Kind, Default string
	// Effect says when a change counts on a running cluster.
	Effect string
	// Meaning is its description, in one line.
	Meaning string
	// Secret values are given from files and never shown.
	Secret bool
}

// AtOnce is the effect of keys whose fields have no other in their tag.
const AtOnce = "at once"

// All are all keys that an operator can set, in the order of the sample.
func All() []Setting {
	s := Default()
	s.Directories["NAME"] = DefaultDirectory()
	var keys []Setting
	collect(&keys, settingsDocs(), "", reflect.ValueOf(s))
	return keys
}

func collect(keys *[]Setting, docs map[string]string, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := joinPrefix(prefix, tomlKey(f))
		switch {
		case tomlKey(f) == "" || f.Tag.Get("made") != "":
		case f.Type.Kind() == reflect.Struct:
			collect(keys, docs, name, v.Field(i))
		case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			for _, k := range v.Field(i).MapKeys() {
				collect(keys, docs, joinPrefix(name, k.String()), v.Field(i).MapIndex(k))
			}
		default:
			effect := f.Tag.Get("effect")
			if effect == "" {
				effect = AtOnce
			}
			*keys = append(*keys, Setting{
				Name: name, Kind: kindOf(f.Type), Default: shown(v.Field(i)), Effect: effect,
				Meaning: strings.Join(strings.Fields(docs[v.Type().Name()+"."+f.Name]), " "), Secret: f.Tag.Get("secret") != "",
			})
		}
	}
}

func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[Size]() {
		return "size"
	}
	if t == reflect.TypeFor[Days]() {
		return "days"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list of texts"
	case reflect.String:
		return "text"
	}
	return "number"
}

func shown(v reflect.Value) string {
	b, err := toml.Marshal(map[string]any{"v": v.Interface()})
	_, text, ok := strings.Cut(strings.TrimSpace(string(b)), " = ")
	if err != nil || !ok {
		return "[]"
	}
	return text
}

const pageHead = `# Settings

The settings of a cluster are the same on every node: ` + "`rookery config get`, `set`, `diff` and `apply`" + ` read and change them
on any node that runs. The column "effect" says when a change counts on nodes that run: without a restart, unless it says so.
` + "`rookery status`" + ` names the nodes on which the newest version is not in force, and why.

This page is generated: ` + "`go test ./cmd/node/settings -run TestSettingsPage -page`." + `

| key | value | default | effect | meaning |
|---|---|---|---|---|
`

// Page is docs/operator/settings.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, k := range All() {
		kind := k.Kind
		if k.Secret {
			kind += ", secret"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", k.Name, kind, k.Default, k.Effect, strings.ReplaceAll(k.Meaning, "|", `\|`))
	}
	return b.String()
}
