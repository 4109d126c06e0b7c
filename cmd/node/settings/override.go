package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"rookery"
)

// An override is what one node uses in place of the cluster's settings, where
// it cannot use those and nobody can be asked to mend them: a document of the
// keys that say how a machine reaches the directories and the object store.
// All else must be the same on every node, or they would disagree about who
// exists and where mail lies.
var (
	overridableStore     = []string{"endpoint", "region", "access_key", "secret_key", "ca_file"}
	overridableDirectory = []string{"urls", "start_tls", "ca_file", "fingerprint", "bind_dn", "password", "timeout"}
)

func overridable(key string) bool {
	parts := strings.Split(key, ".")
	switch {
	case len(parts) == 2 && parts[0] == "store":
		return slices.Contains(overridableStore, parts[1])
	case len(parts) == 3 && parts[0] == "directories":
		return slices.Contains(overridableDirectory, parts[2])
	}
	return false
}

// OverrideKeys gives the keys of an override, in order. KindInvalid: it cannot
// be read, or names a key that one node must not have for itself.
func OverrideKeys(over []byte) ([]string, error) {
	_, leaves, err := parseOverride(over)
	return slices.Sorted(maps.Keys(leaves)), err
}

func parseOverride(over []byte) (tree, leaves map[string]any, err error) {
	const op = "read settings of this node alone"
	if _, err := Parse(over); err != nil { // unknown keys, and values of another type
		return nil, nil, rookery.E(op, rookery.KindInvalid, err)
	}
	if err := toml.Unmarshal(over, &tree); err != nil {
		return nil, nil, rookery.E(op, rookery.KindInvalid, err)
	}
	leaves = map[string]any{}
	flatten("", tree, leaves)
	for _, key := range slices.Sorted(maps.Keys(leaves)) {
		if !overridable(key) {
			return nil, nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%s: must be the same on every node; one node alone may have "+
				"another store.{%s} and directories.NAME.{%s}", key, strings.Join(overridableStore, ","), strings.Join(overridableDirectory, ",")))
		}
	}
	return tree, leaves, nil
}

// SetOverride gives an override, empty where there is none yet, with one key
// changed. The value is as for SetKey.
func SetOverride(over []byte, key, value string) ([]byte, error) {
	tree := map[string]any{}
	if err := toml.Unmarshal(over, &tree); err != nil {
		return nil, rookery.E("change settings of this node alone", rookery.KindInvalid, err)
	}
	var first error
	for _, v := range []any{parseValue(value), value} { // a text may read as a number
		if err := setIn(tree, key, v); err != nil {
			return nil, err
		}
		next, err := toml.Marshal(tree)
		if err == nil {
			_, _, err = parseOverride(next)
		}
		if err == nil {
			return next, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Override puts what an override names in place of what s has. KindInvalid as
// for OverrideKeys, or it names a directory that s has not.
func (s *Cluster) Override(over []byte) error {
	_, leaves, err := parseOverride(over)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(leaves)) {
		parts := strings.Split(key, ".")
		if _, has := s.Directories[parts[1]]; parts[0] == "directories" && !has {
			return rookery.E("override settings", rookery.KindInvalid,
				fmt.Errorf("%s: the cluster's settings have no directory %s; they have %s", key, parts[1], strings.Join(s.DirectoryNames(), ", ")))
		}
	}
	doc, err := s.Document()
	if err != nil {
		return err
	}
	var whole map[string]any
	if err := toml.Unmarshal(doc, &whole); err != nil {
		return rookery.E("override settings", rookery.KindInvalid, err)
	}
	for key, v := range leaves {
		if err := setIn(whole, key, v); err != nil {
			return err
		}
	}
	if doc, err = toml.Marshal(whole); err != nil {
		return rookery.E("override settings", rookery.KindInvalid, err)
	}
	*s, err = Parse(doc)
	return err
}

// HideOverride is an override as it is shown: without its secrets.
func HideOverride(over []byte) ([]byte, error) {
	tree, leaves, err := parseOverride(over)
	if err != nil {
		return nil, err
	}
	for key := range leaves {
		if IsSecret(key) {
			if err := setIn(tree, key, Hidden); err != nil {
				return nil, err
			}
		}
	}
	b, err := toml.Marshal(tree)
	if err != nil {
		return nil, rookery.E("show settings of this node alone", rookery.KindInvalid, err)
	}
	return b, nil
}
