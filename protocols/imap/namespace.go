package imap

import (
	"context"
	"strings"
)

// namespaceFamily holds NAMESPACE (RFC 9051 6.3.10): one personal namespace
// without a prefix, another for what is mounted of the user's own, and one of
// other users where there are any.
func namespaceFamily() family {
	return family{
		commands: []*cmd{plain("NAMESPACE", signedIn, tellAll, (*session).runNamespace)},
		caps:     caps(signedIn, "NAMESPACE"),
	}
}

func (s *session) runNamespace(context.Context) error {
	all, err := s.mounted()
	if err != nil {
		return err
	}
	others := ""
	s.out.Text(`* NAMESPACE (("" "/")`)
	for i, m := range all {
		if strings.HasPrefix(s.mounts[i].Name, "Other Users/") {
			others = firstLevel(m.prefix) + "/"
			continue
		}
		s.out.Text(`(`)
		s.writeName(m.prefix)
		s.out.Text(` "/")`)
	}
	s.out.Text(")")
	if others == "" {
		s.out.Text(" NIL NIL\r\n")
		return nil
	}
	s.out.Text(" ((")
	s.writeName(others)
	s.out.Text(" \"/\")) NIL\r\n")
	return nil
}
