package body

import (
	"strings"
	"testing"

	"rookery"
	"rookery/storage/keys"
)

func TestThreadTokens(t *testing.T) {
	k, _, err := keys.GenerateKeyring().NewAccountKey(rookery.NewAccountID())
	if err != nil {
		t.Fatal(err)
	}
	crlf := strings.NewReplacer("\n", "\r\n").Replace
	e := extractText(t, crlf("Message-ID: <a@b> (x)\nIn-Reply-To: Your message <c@d>\nReferences: <1@x>\n\t<2 @x>junk<3@x\n "+
		"<4@x>\nSubject: Re: [list] =?utf-8?q?Fwd=3A?= Hi  there (fwd)\n\n"))
	if got := ThreadTokens(e, k); len(got) != 5 || got[4] != k.ThreadToken(keys.TokenMessageID, "a@b") {
		t.Errorf("%d tokens", len(got))
	}
	e = extractText(t, crlf("Message-ID: a@b\nSubject: RE: Hi THERE\n\n"))
	if got := ThreadTokens(e, k); len(got) != 2 || got[1] != k.ThreadToken(keys.TokenSubject, "hi there") {
		t.Errorf("%v", got)
	}
}
