package tlspolicy_test

import (
	"io"
	"log"
)

// quiet keeps the policy server's log out of the tests': failing handshakes are
// what some of them are about.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
