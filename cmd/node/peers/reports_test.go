package peers

import (
	"reflect"
	"testing"
)

// Two fields of one number would both be lost on the way.
func TestNumbersOfAReport(t *testing.T) {
	seen := map[string]string{}
	all := reflect.TypeFor[Report]()
	for i := range all.NumField() {
		f := all.Field(i)
		tag := f.Tag.Get("cbor")
		if other := seen[tag]; tag != "-" && other != "" {
			t.Errorf("%s and %s are both %q", other, f.Name, tag)
		}
		seen[tag] = f.Name
	}
}
