import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.security.SecureRandom;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.Extension;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** Asks with the PKIX revocation checker: OCSP alone, at the address in the certificate, and no answer is a failure. */
class Ask {
    private static final String NONCE = "1.3.6.1.5.5.7.48.1.2";

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split("\t");
            X509Certificate issuer = load(fields[0]);
            X509Certificate certificate = load(fields[1]);
            boolean isExpired = certificate.getNotAfter().before(new Date());
            // An expired certificate is refused before anything is asked ...
            if (isExpired && !validate(issuer, certificate, null, null).contains("reason EXPIRED")) {
                System.out.println("as of now\tfailed\tnot told that it is expired");
            }
            // ... unless the path is validated as of a time at which it was not.
            Date asOf = isExpired ? new Date(certificate.getNotAfter().getTime() - 60_000) : null;
            System.out.println("without nonce\t" + validate(issuer, certificate, asOf, null));
            System.out.println("with nonce\t" + validate(issuer, certificate, asOf, nonce()));
            System.out.println();
        }
    }

    /** Verdict, tab, why. */
    private static String validate(X509Certificate issuer, X509Certificate certificate, Date asOf, Extension nonce)
            throws Exception {
        CertPath path = CertificateFactory.getInstance("X.509").generateCertPath(List.of(certificate));
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOptions(EnumSet.of(Option.NO_FALLBACK));
        if (nonce != null) checker.setOcspExtensions(List.of(nonce));
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(issuer, null)));
        parameters.addCertPathChecker(checker);
        parameters.setDate(asOf);
        try {
            validator.validate(path, parameters);
        } catch (CertPathValidatorException e) {
            if (e.getCause() instanceof CertificateRevokedException revoked)
                return "revoked\treason " + revoked.getRevocationReason();
            String why = e.getMessage() + ", reason " + e.getReason();
            // Its reasons stand for many things that the message tells apart.
            if (e.getMessage().startsWith("OCSP response error: ")) return "refused\t" + why;
            if (e.getMessage().equals("Certificate's revocation status is unknown")) return "unknown\t" + why;
            return "failed\t" + why;
        }
        // Hard fail and no other source: valid is only what an answer called good.
        return "good\tvalid";
    }

    private static Extension nonce() {
        byte[] value = new byte[18];
        new SecureRandom().nextBytes(value);
        value[0] = 4;
        value[1] = 16;
        return new Extension() {
            @Override
            public String getId() {
                return NONCE;
            }

            @Override
            public boolean isCritical() {
                return false;
            }

            @Override
            public byte[] getValue() {
                return value;
            }

            @Override
            public void encode(OutputStream out) throws IOException {
                byte[] oid = {6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2};
                out.write(0x30);
                out.write(oid.length + 2 + value.length);
                out.write(oid);
                out.write(4);
                out.write(value.length);
                out.write(value);
            }
        };
    }

    private static X509Certificate load(String path) throws Exception {
        try (InputStream in = new FileInputStream(path)) {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }
}
