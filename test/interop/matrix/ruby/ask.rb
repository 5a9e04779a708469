# Asks with OpenSSL::OCSP of Ruby's standard library.
require 'base64'
require 'cgi'
require 'net/http'
require 'openssl'

STATUS = {
  OpenSSL::OCSP::V_CERTSTATUS_GOOD => 'good',
  OpenSSL::OCSP::V_CERTSTATUS_REVOKED => 'revoked',
  OpenSSL::OCSP::V_CERTSTATUS_UNKNOWN => 'unknown'
}.freeze

def exchange(url, method, der)
  uri = URI(method == 'GET' ? url + CGI.escape(Base64.strict_encode64(der)) : url)
  answer =
    if method == 'GET'
      Net::HTTP.get_response(uri)
    else
      Net::HTTP.post(uri, der, 'Content-Type' => 'application/ocsp-request')
    end
  raise "HTTP #{answer.code}" unless answer.code == '200'

  answer.body
end

def ask(issuer, certificate, url, method, hash, nonce)
  id = OpenSSL::OCSP::CertificateId.new(certificate, issuer, OpenSSL::Digest.new(hash))
  question = OpenSSL::OCSP::Request.new.add_certid(id)
  question.add_nonce if nonce
  response = OpenSSL::OCSP::Response.new(exchange(url, method, question.to_der))
  unless response.status == OpenSSL::OCSP::RESPONSE_STATUS_SUCCESSFUL
    return ['refused', response.status_string]
  end

  basic = response.basic
  # The issuer too: when it signs itself, no certificate comes with the answer.
  store = OpenSSL::X509::Store.new.add_cert(issuer)
  raise "not verified: #{OpenSSL.errors.join(', ')}" unless basic.verify([issuer], store)
  # 1: present and equal; 2: absent from both.
  raise "nonce: #{question.check_nonce(basic)}" unless question.check_nonce(basic) == (nonce ? 1 : 2)

  single = basic.find_response(id)
  raise 'no answer to the question' if single.nil?
  raise 'not current' unless single.check_validity(0, -1)

  verdict = STATUS.fetch(single.cert_status)
  [verdict, verdict == 'revoked' ? "reason #{single.revocation_reason}" : '']
end

$stdin.each_line do |line|
  issuer_path, certificate_path, url, = line.chomp.split("\t")
  issuer, certificate = [issuer_path, certificate_path].map { |path| OpenSSL::X509::Certificate.new(File.read(path)) }
  %w[GET POST].product(%w[SHA1 SHA256], [false, true]) do |method, hash, nonce|
    verdict, text =
      begin
        ask(issuer, certificate, url, method, hash, nonce)
      rescue StandardError => e
        ['refused', e.inspect]
      end
    puts ["#{method} #{hash}#{' nonce' if nonce}", verdict, text].join("\t")
  end
  puts
  $stdout.flush
end
