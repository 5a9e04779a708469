// Asks with golang.org/x/crypto/ocsp, which verifies signatures; the signer's purpose and the times are the caller's part.
package main

import (
	"bufio"
	"bytes"
	"crypto"
	_ "crypto/sha1"
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

func load(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in " + path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func exchange(responder string, method string, der []byte) ([]byte, error) {
	var answer *http.Response
	var err error
	if method == "GET" {
		answer, err = http.Get(responder + url.QueryEscape(base64.StdEncoding.EncodeToString(der)))
	} else {
		answer, err = http.Post(responder, "application/ocsp-request", bytes.NewReader(der))
	}
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

func ask(issuer, certificate *x509.Certificate, responder, method string, hash crypto.Hash) (string, string) {
	question, err := ocsp.CreateRequest(certificate, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		return "refused", err.Error()
	}
	der, err := exchange(responder, method, question)
	if err != nil {
		return "refused", err.Error()
	}
	answer, err := ocsp.ParseResponseForCert(der, certificate, issuer)
	var refusal ocsp.ResponseError
	if errors.As(err, &refusal) {
		return "refused", refusal.Status.String()
	}
	if err != nil {
		return "refused", err.Error()
	}
	if delegate := answer.Certificate; delegate != nil {
		if len(delegate.ExtKeyUsage) != 1 || delegate.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning {
			return "refused", "the signer's certificate is not for signing OCSP"
		}
	}
	now := time.Now()
	if answer.ThisUpdate.After(now) || answer.NextUpdate.Before(now) {
		return "refused", "not current"
	}
	if answer.IssuerHash != hash {
		return "refused", "answers with another hash"
	}
	switch answer.Status {
	case ocsp.Good:
		return "good", ""
	case ocsp.Revoked:
		return "revoked", fmt.Sprint("reason ", answer.RevocationReason)
	case ocsp.Unknown:
		return "unknown", ""
	}
	return "refused", fmt.Sprint("status ", answer.Status)
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); out.Flush() {
		fields := strings.Split(lines.Text(), "\t")
		issuer, err := load(fields[0])
		if err != nil {
			panic(err)
		}
		certificate, err := load(fields[1])
		if err != nil {
			panic(err)
		}
		for _, method := range []string{"GET", "POST"} {
			for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
				verdict, text := ask(issuer, certificate, fields[2], method, hash)
				fmt.Fprintf(out, "%s %s\t%s\t%s\n", method, hash, verdict, text)
			}
		}
		fmt.Fprintln(out)
	}
}
