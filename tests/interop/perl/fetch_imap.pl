#!/usr/bin/perl
# Mail::IMAPClient: prints the first message of the inbox.
#
# usage: fetch_imap.pl HOST PORT plain|starttls|implicit CA_FILE USER PASSWORD_FILE
use strict;
use warnings;
use Mail::IMAPClient;

my ($host, $port, $tls, $ca_file, $user, $password_file) = @ARGV;
open my $file, '<', $password_file or die "$password_file: $!";
chomp(my $password = <$file>);
my $trust = [SSL_ca_file => $ca_file, SSL_verify_mode => 1, SSL_verifycn_name => $host,
    SSL_verifycn_scheme => 'imap'];
my %tls = (plain => [], starttls => [Starttls => $trust], implicit => [Ssl => $trust]);

my $client = Mail::IMAPClient->new(
    Server => $host, Port => $port, User => $user, Password => $password, Uid => 1,
    @{ $tls{$tls} },
) or die "no session: $@";
$client->examine('INBOX') or die 'EXAMINE: ' . $client->LastError;
my ($uid) = $client->messages or die 'SEARCH: ' . $client->LastError;
binmode STDOUT;
$client->message_to_file(\*STDOUT, $uid) or die 'FETCH: ' . $client->LastError;
$client->logout;
