package settings

import (
	"strings"
	"testing"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		`"50MB"`: 50_000_000, `"50 MiB"`: 50 << 20, `"1.5GB"`: 1_500_000_000, `"0"`: 0, `70000`: 70000, `"2gib"`: 2 << 30,
		`"80kB"`: 80_000, `"1000B"`: 1000,
		`"50 apples"`: -1, `"MB"`: -1, `"-5MB"`: -1, `"1.5B"`: -1, `""`: -1, `"99999999TB"`: -1, `"NaN"`: -1, `true`: -1,
	} {
		s, err := Parse([]byte("[limits]\nquota = " + text))
		if want < 0 {
			if err == nil {
				t.Errorf("%s is read as %d", text, s.Limits.Quota)
			}
			continue
		}
		if err != nil || int64(s.Limits.Quota) != want {
			t.Errorf("%s is read as %d, want %d: %v", text, s.Limits.Quota, want, err)
			continue
		}
		doc, err := s.Document()
		if err != nil || strings.Contains(string(doc), "quota = '") || strings.Contains(string(doc), `quota = "`) {
			t.Errorf("%s is written in a form that former versions do not read: %v\n%s", text, err, doc)
		}
	}
}

// TestSetKeyWritesSizesAsNumbers: a size with a unit that is the one that was
// set is no change.
func TestSetKeyWritesSizesAsNumbers(t *testing.T) {
	s := Default()
	doc, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	next, err := SetKey(doc, "limits.message_size", "50MiB")
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := Diff(doc, next); err != nil || len(changes) != 0 {
		t.Errorf("%v %v", changes, err)
	}
	next, err = SetKey(doc, "limits.message_size", "60MB")
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := Diff(doc, next); err != nil || len(changes) != 1 || changes[0].New != int64(60_000_000) {
		t.Errorf("%v %v", changes, err)
	}
	if _, err := SetKey(doc, "limits.message_size", "60 apples"); err == nil || !strings.Contains(err.Error(), "60 apples") {
		t.Errorf("%v", err)
	}
}
