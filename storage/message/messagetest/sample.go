package messagetest

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// Sample makes a message of about size bytes with the header of a real one.
func Sample(size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(crlf(`Return-Path: <alice@example.org>
Received: from mx1.example.org (mx1.example.org [192.0.2.17])
	by mail.example.com (Rookery) with ESMTPS id 4bX2c93YfZz1
	for <bob@example.com>; Sat, 21 Nov 2026 10:11:12 +0000 (UTC)
Received: from [10.1.2.3] (unknown [198.51.100.4])
	by mx1.example.org with ESMTPSA id 7F21A2040C; Sat, 21 Nov 2026 10:11:10 +0000
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=sel1;
	h=from:to:subject:date:message-id; bh=g3zLYH4xKxcPrHOD18z9YfpQcnk/GaJedfustWU5uGs=;
	b=TbRDsNQbVXJ0DmXqG2oO8JqFv1XqvPc3Zg9o2VnqOQYh0wA7DqQ1hYfO3oPm7jFJ4o3cVgT8m0
From: "Alice Example" <alice@example.org>
To: Bob <bob@example.com>, "Carol, Jr." <carol@example.com>
Cc: team: dave@example.com, erin@example.com;
Subject: Re: [rookery] =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= and the quarterly numbers
Date: Sat, 21 Nov 2026 11:11:09 +0100
Message-ID: <20261121101109.7F21A2040C@mx1.example.org>
In-Reply-To: <20261120090000.1234@mail.example.com>
References: <20261119080000.77@mail.example.com> <20261120090000.1234@mail.example.com>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="----=_Part_1234_5678"

------=_Part_1234_5678
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

`))
	words := strings.Fields("the quarterly numbers are attached please have a look before our meeting on Monday thanks and regards " +
		"Alice we should talk about hiring budget rooms travel and the new release of mail")
	line := 0
	for b.Len() < size/2 {
		w := words[rnd.IntN(len(words))]
		b.WriteString(w)
		if line += len(w) + 1; line > 70 {
			b.WriteString("\r\n")
			line = 0
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteString(crlf("\n------=_Part_1234_5678\nContent-Type: application/pdf; name=numbers.pdf\nContent-Transfer-Encoding: " +
		"base64\nContent-Disposition: attachment; filename=numbers.pdf\n\n"))
	raw := make([]byte, 57)
	for b.Len() < size-40 {
		for i := range raw {
			raw[i] = byte(rnd.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(raw))
		b.WriteString("\r\n")
	}
	b.WriteString("------=_Part_1234_5678--\r\n")
	return b.Bytes()
}
