package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rookery/cmd/rookery/cli"
	"rookery/cmd/rookery/dev"
	"rookery/cmd/rookery/machine"
)

// prepareInit writes what an init without questions needs, and gives its
// arguments but the kit.
func prepareInit(t *testing.T) (data string, args []string) {
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	tls := filepath.Join(dir, "tls")
	if err := dev.MakeCA(tls); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("rookery.toml", fmt.Sprintf("name = 'n'\nhostname = 'localhost'\ndata_dir = '%s'\n[tls]\ncertificate = "+
		"'%s/cert.pem'\nkey = '%s/key.pem'\n[cluster]\nlisten = '127.0.0.1:0'\n", data, tls, tls))
	settings := write("settings.toml", fmt.Sprintf("domains = ['example.test']\npostmaster = "+
		"'postmaster@example.test'\n[store]\nkind = 'dir'\npath = '%s'\n", filepath.Join(dir, "objects")))
	return data, []string{"init", "-config", config, "-settings", settings, "--json"}
}

func TestInitNeedsAPlaceForTheKit(t *testing.T) {
	data, args := prepareInit(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, append(args, "-kit", "/nosuch/kit.json")); code != cli.ExitFailed {
		t.Errorf("exits with %d: %s", code, errs.String())
	}
	if cli.Exists(data) {
		t.Error("a cluster has begun without a recovery kit")
	}
}

func TestInitTakesNoRelativeStore(t *testing.T) {
	data, args := prepareInit(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs},
		append(args, "-store", "objects", "-kit", data+".kit")); code != cli.ExitUsage {
		t.Errorf("exits with %d: %s", code, errs.String())
	}
}

// Of two at once one begins the cluster, and the other takes nothing of it
// away.
func TestTwoInitsAtOnce(t *testing.T) {
	data, args := prepareInit(t)
	var codes [2]int
	var out [2]bytes.Buffer
	var both sync.WaitGroup
	for k := range codes {
		both.Go(func() {
			var errs bytes.Buffer
			codes[k] = run(t.Context(), &cli.Shell{Out: &out[k], Err: &errs},
				append(args[:len(args):len(args)], "-kit", fmt.Sprintf("%s.%d", data, k)))
			t.Logf("%d: %d %s", k, codes[k], errs.String())
		})
	}
	both.Wait()
	first := 0
	if codes[1] == 0 {
		first = 1
	}
	if codes[first] != 0 || codes[1-first] != cli.ExitConflict {
		t.Fatalf("exit codes %v", codes)
	}
	var b machine.Begun
	if err := json.Unmarshal(out[first].Bytes(), &b); err != nil || !cli.Exists(b.Kit) ||
		!cli.Exists(filepath.Join(b.DataDir, "node.json")) || !cli.Exists(filepath.Join(b.DataDir, "log")) {
		t.Errorf("begun %+v, %v", b, err)
	}
}
