package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const dnsLong = `Prints the records that a mail domain has to publish in the DNS, as lines of a zone
file, and how each compares with what the node finds there: MX, the addresses of the
nodes and the names that these point back to, SPF, DKIM, DMARC and TLS reports.

The addresses are those that the nodes find each other at. Where the world sees
others, name them with -address, once for each.`

func dnsVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "dns DOMAIN", Short: "print what a mail domain has to publish, and check it", Long: dnsLong, Args: cobra.ExactArgs(1),
		Example: "  rookery dns example.com -address mx1.example.com=203.0.113.1 -address mx2.example.com=203.0.113.2",
		Annotations: cli.Exits("0 all is published", "1 a record is missing or different", "3 the settings have no such domain",
			"5 the DNS or a node does not answer, so nothing can be said"),
	}
	a := s.Ask(v.Flags())
	list := v.Flags().StringArray("address", nil, "the address of a node as others see it: HOSTNAME=ADDRESS")
	v.RunE = func(c *cobra.Command, args []string) error {
		addresses, err := adminapi.ParseAddresses(*list)
		if err != nil {
			return err
		}
		r, err := a.Admin().DNS(c.Context(), args[0], addresses)
		if err != nil {
			return err
		}
		if a.JSON {
			err = a.Print(r)
		} else {
			_, err = fmt.Fprint(a.Out, dnsText(r))
		}
		if err == nil {
			err = dnsVerdict(r)
		}
		return err
	}
	return v
}

// dnsText is a report for people, and for a zone file: all but records are comments.
func dnsText(r adminapi.DNSReport) string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "; %s\n", p)
	}
	for _, x := range r.Records {
		fmt.Fprintf(&b, "; %s", strings.ToUpper(x.Verdict))
		if x.Note != "" {
			fmt.Fprintf(&b, ": %s", x.Note)
		}
		if b.WriteByte('\n'); x.Verdict != "present" {
			fmt.Fprintf(&b, ";   %s\n", x.Why)
			for _, p := range x.Published {
				fmt.Fprintf(&b, ";   published: %s\n", p)
			}
		}
		fmt.Fprintf(&b, "%s\n", strings.Join(x.Zone, "\n"))
	}
	return b.String()
}

// dnsVerdict is nil where all is published.
func dnsVerdict(r adminapi.DNSReport) error {
	wrong, open := 0, len(r.Problems)
	for _, x := range r.Records {
		switch x.Verdict {
		case "present":
		case "missing", "different":
			wrong++
		default:
			open++
		}
	}
	switch {
	case wrong > 0:
		return rookery.E("check the DNS", rookery.KindDenied, fmt.Errorf("%d of %d records are missing or different", wrong, len(r.Records)))
	case open > 0:
		return rookery.E("check the DNS", rookery.KindUnavailable, fmt.Errorf("of %d things nothing can be said", open))
	}
	return nil
}
