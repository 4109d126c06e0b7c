package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Another test process finds other ports than this one, bound or not.
func TestFreePortsAreOneProcesses(t *testing.T) {
	mine := FreePorts(t, 10)
	if os.Getenv("ROOKERY_PORTS_INSIDE") != "" {
		fmt.Println("found", mine, ports.lock != nil)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "ROOKERY_PORTS_INSIDE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var other int
	var locked bool
	if _, err := fmt.Sscanf(string(out[max(0, strings.Index(string(out), "found")):]), "found %d %t", &other, &locked); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if ports.lock == nil || !locked {
		t.Skip("all windows are taken by other tests on this machine")
	}
	if (other-firstPort)/windowPorts == (mine-firstPort)/windowPorts {
		t.Errorf("this process found %d, another one %d", mine, other)
	}
}
