package sevenbit

import (
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/outbound/dsn"
)

// A notification that encloses an original of 8 bits goes to hosts of 7 bits, and
// says the same there.
func TestNotification(t *testing.T) {
	original := head + text + "Grüße from a line that is long enough to stay legible\r\n"
	for _, utf8 := range []bool{false, true} {
		report, err := dsn.Compose(dsn.Report{
			MTA: "mail.example.com", MessageID: "a@example.com", Date: time.Unix(1_800_000_000, 0), UTF8: utf8,
			From:     rookery.Address{Local: "postmaster", Domain: "example.com"},
			Envelope: dsn.Envelope{Sender: rookery.Address{Local: "alice", Domain: "example.com"}},
			Original: dsn.Original{Bytes: []byte(original), Size: int64(len(original))},
			Recipients: []dsn.Recipient{{Final: rookery.Address{Local: "bjørn", Domain: "example.org"}, Status: "5.1.1",
				Reply: "550 không có người này"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := check(t, string(report))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"report-type=delivery-status", "Content-Type: message/rfc822\r\n", "Gr=C3=BC=C3=9Fe"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q lacks in %s", want, out)
			}
		}
	}
}
