echo "brief: $(cat)"
: > primes.txt
n=2
while [ "$n" -lt 1000 ]; do
  d=2
  prime=yes
  while [ $((d * d)) -le "$n" ]; do
    if [ $((n % d)) -eq 0 ]; then prime=no; break; fi
    d=$((d + 1))
  done
  if [ "$prime" = yes ]; then
    echo "$n" >> primes.txt
    [ $((n % 7)) -eq 3 ] && { echo "found $n"; sleep 0.4; }
  fi
  n=$((n + 1))
done
echo "$(wc -l < primes.txt) primes"
git add primes.txt
git -c user.name=demo-primes -c user.email=demo@localhost commit -q -m "Primes below 1000"
git log --oneline -1
