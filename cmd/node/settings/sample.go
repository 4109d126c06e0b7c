package settings

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

func joinKey(k []string) string { return strings.Join(k, ".") }

// sample writes a value as TOML with the doc comment of each struct field
// above its key. The comments come from the Go source, so there is one text
// for the reader of the code and the reader of the file.
func sample(docs map[string]string, root string, v any) string {
	var b strings.Builder
	writeSample(&b, docs, root, "", reflect.Indirect(reflect.ValueOf(v)))
	return b.String()
}

func writeSample(b *strings.Builder, docs map[string]string, typ, prefix string, v reflect.Value) {
	t := v.Type()
	var tables []int
	for i := range t.NumField() {
		f := t.Field(i)
		key := tomlKey(f)
		if key == "" || f.Tag.Get("made") != "" {
			continue
		}
		if f.Type.Kind() == reflect.Struct || f.Type.Kind() == reflect.Map {
			tables = append(tables, i)
			continue
		}
		writeComment(b, docs[typ+"."+f.Name])
		line, err := toml.Marshal(map[string]any{key: v.Field(i).Interface()})
		if err != nil {
			line = []byte(key + " = \"\"\n")
		}
		b.Write(line)
	}
	for _, i := range tables {
		f := t.Field(i)
		key := joinPrefix(prefix, tomlKey(f))
		if f.Type.Kind() == reflect.Struct {
			b.WriteString("\n")
			writeComment(b, docs[typ+"."+f.Name])
			fmt.Fprintf(b, "[%s]\n", key)
			writeSample(b, docs, f.Type.Name(), key, v.Field(i))
			continue
		}
		for _, k := range v.Field(i).MapKeys() {
			b.WriteString("\n")
			writeComment(b, docs[typ+"."+f.Name])
			fmt.Fprintf(b, "[%s.%s]\n", key, k)
			writeSample(b, docs, f.Type.Elem().Name(), joinPrefix(key, k.String()), v.Field(i).MapIndex(k))
		}
	}
}

func joinPrefix(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func tomlKey(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	if key == "-" {
		return ""
	}
	return key
}

func writeComment(b *strings.Builder, doc string) {
	for line := range strings.Lines(doc) {
		b.WriteString("# " + strings.TrimRight(line, "\n") + "\n")
	}
}

// settingsDocs are the comments of the fields of the settings.
func settingsDocs() map[string]string {
	docs := fieldDocs(settingsSource)
	maps.Copy(docs, fieldDocs(attributesSource))
	maps.Copy(docs, fieldDocs(outboundSource))
	maps.Copy(docs, fieldDocs(backupSource))
	maps.Copy(docs, fieldDocs(submissionSource))
	maps.Copy(docs, fieldDocs(relaySource))
	return docs
}

func fieldDocs(source string) map[string]string {
	docs := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
	if err != nil {
		return docs // the source is this package's own: a test reads every sample
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if st, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range st.Fields.List {
				for _, name := range f.Names {
					docs[spec.Name.Name+"."+name.Name] = f.Doc.Text()
				}
			}
		}
		return true
	})
	return docs
}
