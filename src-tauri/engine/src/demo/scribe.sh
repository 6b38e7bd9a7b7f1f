echo "brief: $(cat)"
i=1
while [ "$i" -le 30 ]; do
  line="$(date +%T) line $i"
  echo "$line" | tee -a log.md
  sleep 1
  i=$((i + 1))
done
git add log.md
git -c user.name=demo-scribe -c user.email=demo@localhost commit -q -m "Half a minute of log"
git log --oneline -1
