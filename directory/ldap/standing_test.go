package ldap

import (
	"fmt"
	"strings"
	"testing"

	"rookery"
	"rookery/directory"
	"rookery/directory/embedded"
)

// Many entries are asked about with one search, each is told by its key, and an
// answer that is cut short, or none, says nothing of any.
func TestStanding(t *testing.T) {
	var more []embedded.User
	for i := range 60 {
		more = append(more, embedded.User{UID: fmt.Sprint("p", i), Mail: fmt.Sprintf("p%d@example.test", i), Password: "secret"})
	}
	more[1].Extra = map[string][]string{"nsAccountLock": {"TRUE"}}
	s := inProcess(t, embedded.Options{SizeLimit: 50}, more...)
	d := openDirectory(t, impatient(embeddedConfig(s)))
	var keys []string
	for i := range 40 {
		e, err := d.Recipient(t.Context(), address(t, fmt.Sprintf("p%d@example.test", i)))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	id, _, _ := strings.Cut(keys[0], "/")
	gone, foreign, odd := id+"/"+strings.Repeat("ab", 16), "elsewhere/"+strings.Repeat("ab", 16), id+"/*)(uid=*"
	got, err := d.Standing(t.Context(), append(keys, gone, foreign, odd))
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		want := directory.Present
		if i == 1 {
			want = directory.Disabled
		}
		if got[key] != want {
			t.Errorf("person %d stands %d, want %d", i, got[key], want)
		}
	}
	if got[gone] != directory.Gone || got[foreign] != 0 || len(got) != len(keys)+2 {
		t.Errorf("gone %d, of another directory %d, %d answers", got[gone], got[foreign], len(got))
	}
	for i := 40; i < 60; i++ {
		e, err := d.Recipient(t.Context(), address(t, fmt.Sprintf("p%d@example.test", i)))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	if got, err := d.Standing(t.Context(), keys); !rookery.Is(err, rookery.KindUnavailable) || got != nil {
		t.Errorf("beyond the server's size limit: %v %v", got, err)
	}
	if _, err := d.Standing(t.Context(), make([]string, MaxStanding+1)); !rookery.Is(err, rookery.KindInvalid) {
		t.Error(err)
	}
	s.Close()
	if got, err := d.Standing(t.Context(), keys[:3]); !rookery.Is(err, rookery.KindUnavailable) || got != nil {
		t.Errorf("without a server: %v %v", got, err)
	}
}
