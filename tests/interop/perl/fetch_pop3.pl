#!/usr/bin/perl
# Net::POP3: prints the first message.
#
# usage: fetch_pop3.pl HOST PORT plain|starttls|implicit CA_FILE USER PASSWORD_FILE
use strict;
use warnings;
use Net::POP3;

my ($host, $port, $tls, $ca_file, $user, $password_file) = @ARGV;
open my $file, '<', $password_file or die "$password_file: $!";
chomp(my $password = <$file>);
my @trust = (SSL_ca_file => $ca_file, SSL_verify_mode => 1, SSL_verifycn_name => $host);

my $client = Net::POP3->new($host, Port => $port, SSL => $tls eq 'implicit', @trust)
    or die "no connection: $@";
if ($tls eq 'starttls') {
    $client->starttls(@trust) or die 'STLS: ' . $client->message;
}
defined $client->login($user, $password) or die 'PASS: ' . $client->message;
binmode STDOUT;
print @{ $client->get(1) or die 'RETR: ' . $client->message };
$client->quit;
