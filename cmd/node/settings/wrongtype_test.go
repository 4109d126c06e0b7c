package settings

import (
	"regexp"
	"strings"
	"testing"
)

// programs matches what only who wrote the program understands.
var programs = regexp.MustCompile(`\bGo\b|struct|strconv|settings\.[A-Z]|\bint(64|32)?\b|\[\]string|reflect|unmarshal`)

// TestWrongTypesAreSaidInTheSettingsWords, for every key and every kind of value.
func TestWrongTypesAreSaidInTheSettingsWords(t *testing.T) {
	doc, err := (&Cluster{}).Document()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, k := range All() {
		key := strings.ReplaceAll(k.Name, "NAME", "main")
		for _, value := range []string{"true", "12", "1.5", "words", `["a"]`, "[1, 2]", "99999999999999999999", "1979-05-27", "{a = 1}", ""} {
			_, err := SetKey(doc, key, value)
			if err == nil {
				continue
			}
			refused++
			if !strings.Contains(err.Error(), key) || programs.MatchString(err.Error()) {
				t.Errorf("%s = %s: %v", key, value, err)
			}
		}
		if _, err := Parse([]byte(key + " = {a = 1}")); err == nil || programs.MatchString(err.Error()) {
			t.Errorf("%s as a table: %v", key, err)
		}
	}
	if refused < 100 {
		t.Errorf("only %d were refused", refused)
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]Days{`"14d"`: 14, `"24h"`: 1, `"336h"`: 14, `7`: 7, `"7"`: 7, `"0"`: 0, `"25h"`: -1, `"d"`: -1, `"soon"`: -1,
		`""`: -1, `true`: -1} {
		s, err := Parse([]byte("[limits]\nexpunged_days = " + text))
		if want < 0 {
			if err == nil || programs.MatchString(err.Error()) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || s.Limits.ExpungedDays != want {
			t.Errorf("%s is read as %d: %v", text, s.Limits.ExpungedDays, err)
		}
		if doc, err := s.Document(); err != nil || strings.Contains(string(doc), "expunged_days = '") {
			t.Errorf("%s is written in a form that former versions do not read: %v", text, err)
		}
	}
}
