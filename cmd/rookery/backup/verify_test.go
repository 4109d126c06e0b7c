package backup

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// verifier answers on an administration socket as a node that verifies.
func verifier(t *testing.T, events []adminapi.VerifyEvent, fail *adminapi.ErrorBody, asked *adminapi.VerifyOrder) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/backup/verify", func(w http.ResponseWriter, r *http.Request) {
		json.NewDecoder(r.Body).Decode(asked)
		enc := json.NewEncoder(w)
		for _, e := range events {
			b, _ := json.Marshal(e)
			enc.Encode(adminapi.StreamLine{Event: b})
		}
		enc.Encode(adminapi.StreamLine{Error: fail, End: fail == nil})
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return dir
}

// TestVerify: what is found is printed with what is lost and what to do, and the exit
// code tells sound from damaged and from unread.
func TestVerify(t *testing.T) {
	progress := adminapi.VerifyEvent{Progress: &adminapi.VerifyProgress{Group: 2, Done: 1, Of: 9}}
	later := at.Add(90e9)
	segment := adminapi.VerifyEvent{Finding: &adminapi.VerifyFinding{Group: 2, Key: "seg/00000002/x", Fault: "damaged", Detail: "it is cut",
		Lost: true, From: &at, To: &later, Mend: "bring it back"}}
	message := adminapi.VerifyEvent{Finding: &adminapi.VerifyFinding{Group: 2, Key: "b/ab/2/p.pk", Fault: "missing", Detail: "gone",
		Account: "a1", Email: "M1", At: &at, Mend: "rookery storage check"}}
	open := adminapi.VerifyEvent{Finding: &adminapi.VerifyFinding{Group: 2, Key: "img/00000002/", Fault: "missing", Detail: "no image",
		Lost: true, Mend: "wait"}}
	result := func(findings, gaps, unchecked int) adminapi.VerifyEvent {
		return adminapi.VerifyEvent{Result: &adminapi.VerifyResult{Images: 3, Segments: 40, Messages: 200, Findings: findings, Gaps: gaps,
			Unchecked: unchecked}}
	}
	for name, c := range map[string]struct {
		events []adminapi.VerifyEvent
		fail   *adminapi.ErrorBody
		exit   int
		says   []string
	}{
		"sound": {[]adminapi.VerifyEvent{progress, result(0, 0, 0)}, nil, 0, []string{"3 images and 40 segments opened", "0 findings"}},
		"damaged": {[]adminapi.VerifyEvent{progress, segment, message, open, result(3, 0, 0)}, nil, cli.ExitDamaged,
			[]string{"group 2: seg/00000002/x: damaged: it is cut", "lost: " + cli.Stamp(at) + " to " + cli.Stamp(later), "do: bring it back",
				"concerns: message M1 of account a1, as of " + cli.Stamp(at), "lost: the beginning to the next image", "3 findings"}},
		"a gap on record": {[]adminapi.VerifyEvent{result(0, 1, 0)}, nil, 0, []string{"1 gap on record"}},
		"unread":          {[]adminapi.VerifyEvent{result(0, 0, 7)}, nil, cli.ExitUnavailable, []string{"7 not readable now"}},
		"cut off": {[]adminapi.VerifyEvent{segment}, &adminapi.ErrorBody{Error: "503", Kind: rookery.KindUnavailable}, cli.ExitUnavailable,
			[]string{"it is cut"}},
		"no word of its end": {[]adminapi.VerifyEvent{progress}, nil, cli.ExitUnavailable, nil},
	} {
		var asked adminapi.VerifyOrder
		dir := verifier(t, c.events, c.fail, &asked)
		out, err := call(t, dir, "verify", "--depth", "sample", "--sample", "7", "--account", "anna@example.com")
		if got := cli.ExitCode(err); err != nil && got != c.exit || err == nil && c.exit != 0 {
			t.Errorf("%s: exit %d, want %d (%v)", name, got, c.exit, err)
		}
		has(t, out, c.says...)
		if asked != (adminapi.VerifyOrder{Depth: "sample", Sample: 7, Account: "anna@example.com"}) {
			t.Errorf("%s: asked %+v", name, asked)
		}
		out, _ = call(t, dir, "verify", "--json")
		lines := 0
		for line := range strings.Lines(out) {
			if e := read[adminapi.VerifyEvent](t, line); e.Finding == nil && e.Result == nil {
				t.Errorf("%s: %s", name, line)
			}
			lines++
		}
		for _, e := range c.events {
			if e.Progress == nil {
				lines--
			}
		}
		if lines != 0 {
			t.Errorf("%s: %d lines of JSON too many", name, lines)
		}
	}
	for _, args := range [][]string{{"--depth", "deep"}, {"--sample", "0"}} {
		if _, err := call(t, t.TempDir(), append([]string{"verify"}, args...)...); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}
