package ldap

import (
	"testing"

	"rookery/directory/embedded"
)

// TestSignInsHaveConnectionsOfTheirOwn holds up every connection for looking up
// recipients: who signs in is found all the same.
func TestSignInsHaveConnectionsOfTheirOwn(t *testing.T) {
	s := inProcess(t, embedded.Options{}, embedded.User{UID: "vera", Mail: "vera@example.test", Password: "secret"})
	d := openDirectory(t, embeddedConfig(s))
	if _, err := d.Recipient(t.Context(), address(t, "vera@example.test")); err != nil {
		t.Fatal(err)
	}
	for _, sl := range d.servers[0].slots[forRecipients] {
		if c := sl.c.Swap(nil); c != nil {
			c.discard()
		}
		sl.lock <- struct{}{} // as while it dials a server that does not answer
	}
	ctx, cancel := d.deadline(t.Context())
	defer cancel()
	if _, err := d.Recipient(ctx, address(t, "vera@example.test")); kindOf(err) != "unavailable" {
		t.Errorf("a recipient is found: %v", err)
	}
	if e, err := d.Authenticate(t.Context(), "vera@example.test", "secret"); err != nil || e.Primary.String() != "vera@example.test" {
		t.Errorf("sign-in: %v %v", e, err)
	}
	for _, sl := range d.servers[0].slots[forRecipients] {
		<-sl.lock
	}
}
