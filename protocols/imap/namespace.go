package imap

import "context"

// namespaceFamily holds NAMESPACE (RFC 9051 6.3.10): one personal namespace
// without a prefix.
func namespaceFamily() family {
	return family{
		commands: []*cmd{plain("NAMESPACE", signedIn, tellAll, func(s *session, _ context.Context) error {
			s.out.Text("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
			return nil
		})},
		caps: caps(signedIn, "NAMESPACE"),
	}
}
