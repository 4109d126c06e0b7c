# Drives the server with Python's imaplib, as many scripts do.
import imaplib, ssl, sys

plain, secure = int(sys.argv[1]), int(sys.argv[2])
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def ok(answer):
    assert answer[0] in ("OK", "BYE"), answer
    return answer[1]


m = imaplib.IMAP4("127.0.0.1", plain)
m.starttls(context)
ok(m.login("ann", "secret"))
ok(m.enable("CONDSTORE"))  # not UTF8=ACCEPT: imaplib then appends wrongly
assert ok(m.select("INBOX")) == [b"1"], "one message"
ok(m.append("INBOX", "(\\Seen)", '"01-Feb-2020 03:04:05 +0000"', b"Subject: caf\xc3\xa9\r\n\r\nbody\r\n"))
assert ok(m.uid("SEARCH", None, "ALL")) == [b"1 2"]
data = ok(m.fetch("2", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
assert data[0][1] == b"Subject: caf\xc3\xa9\r\n\r\n", data
ok(m.fetch("1", "(ENVELOPE BODYSTRUCTURE)"))
ok(m.store("1", "+FLAGS", "\\Deleted"))
ok(m.copy("1", "Archive"))
assert ok(m.expunge()) == [b"1"]
ok(m.create("neu"))
ok(m.rename("neu", "neuer"))
ok(m.delete("neuer"))
ok(m.getquotaroot("INBOX"))
assert len(ok(m.list())) == 6
assert len(ok(m.lsub())) == 6
ok(m.namespace())
ok(m.status("INBOX", "(MESSAGES UIDNEXT)"))
ok(m.close())
m.logout()
m = imaplib.IMAP4_SSL("127.0.0.1", secure, ssl_context=context)
ok(m.authenticate("PLAIN", lambda _: b"\0ann\0secret"))
m.logout()
print("done")
