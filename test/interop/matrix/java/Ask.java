import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Asks with the PKIX revocation checker: OCSP alone, at the address in the certificate, and no answer is a failure.
 * Arguments: "soft-fail" for Option.SOFT_FAIL, "responder" to ask at the address of the question instead.
 */
class Ask {
    public static void main(String[] args) throws Exception {
        Set<String> modes = Set.of(args);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split("\t");
            X509Certificate issuer = load(fields[0]);
            X509Certificate certificate = load(fields[1]);
            URI responder = modes.contains("responder") ? new URI(fields[2]) : null;
            boolean isExpired = certificate.getNotAfter().before(new Date());
            // An expired certificate is refused before anything is asked ...
            if (isExpired && !validate(issuer, certificate, null, responder, modes).contains("reason EXPIRED")) {
                System.out.println("as of now\trefused\tnot told that it is expired");
            }
            // ... unless the path is validated as of a time at which it was not.
            Date asOf = isExpired ? new Date(certificate.getNotAfter().getTime() - 60_000) : null;
            System.out.println("PKIX\t" + validate(issuer, certificate, asOf, responder, modes));
            System.out.println();
        }
    }

    /** Verdict, tab, why. */
    private static String validate(
            X509Certificate issuer, X509Certificate certificate, Date asOf, URI responder, Set<String> modes)
            throws Exception {
        CertPath path = CertificateFactory.getInstance("X.509").generateCertPath(List.of(certificate));
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        EnumSet<Option> options = EnumSet.of(Option.NO_FALLBACK);
        if (modes.contains("soft-fail")) options.add(Option.SOFT_FAIL);
        checker.setOptions(options);
        if (responder != null) checker.setOcspResponder(responder);
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(issuer, null)));
        parameters.addCertPathChecker(checker);
        parameters.setDate(asOf);
        try {
            validator.validate(path, parameters);
        } catch (CertPathValidatorException e) {
            if (e.getCause() instanceof CertificateRevokedException revoked)
                return "revoked\treason " + revoked.getRevocationReason();
            // Its reasons stand for many things that the message tells apart.
            String why = e.getMessage() + ", reason " + e.getReason();
            boolean isUnknown = e.getMessage().equals("Certificate's revocation status is unknown");
            return (isUnknown ? "unknown\t" : "refused\t") + why;
        }
        // Hard fail and no other source: valid is only what an answer called good. Soft fail says what it overlooked.
        StringBuilder text = new StringBuilder("good\tvalid");
        for (CertPathValidatorException overlooked : checker.getSoftFailExceptions())
            text.append(", in spite of: ").append(overlooked.getMessage());
        return text.toString();
    }

    private static X509Certificate load(String path) throws Exception {
        try (InputStream in = new FileInputStream(path)) {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }
}
