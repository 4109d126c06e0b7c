package settings

import (
	"reflect"
	"regexp"
	"strings"
)

// kindAt says what the value of a key is, from the structs that settings and
// node files are read into; empty where there is no such key.
func kindAt(v any, key []string) string {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, part := range key {
		switch t.Kind() {
		case reflect.Map:
			t = t.Elem()
		case reflect.Struct:
			next, found := fieldOf(t, part)
			if !found {
				return ""
			}
			t = next
		default:
			return ""
		}
	}
	if t.Kind() == reflect.Struct || t.Kind() == reflect.Map {
		return "table of keys"
	}
	return kindOf(t)
}

func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	for f := range t.Fields() {
		if tomlKey(f) == name {
			return f.Type, true
		}
	}
	return nil, false
}

// goType matches what the decoder says of a value that does not fit.
var goType = regexp.MustCompile(`(?i)cannot (decode|store|unmarshal|assign)|struct field|of type |strconv\.|out of range|incompatible types|expected`)

// sayDecode words an error of the decoder for who wrote the document: no types
// of the program.
func sayDecode(v any, key []string, err error) string {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	kind := kindAt(v, key)
	if kind == "" || !goType.MatchString(text) {
		return text
	}
	switch kind {
	case "size":
		return "it is no size; write it like 50MB, 50MiB or 52428800"
	case "days":
		return "it is no number of whole days; write it like 14, 14d or 336h"
	case "list of texts":
		return `it is no list of texts; write it like ["a", "b"]`
	case "true or false":
		return "it is neither true nor false"
	}
	return "it is no " + kind
}
