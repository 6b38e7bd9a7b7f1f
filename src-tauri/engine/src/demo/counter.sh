echo "brief: $(cat)"
for pass in 1 2 3 4 5 6; do
  echo "pass $pass: $(tr -cs '[:alpha:]' '\n' < notes.md | sort | uniq | wc -l) different words"
  sleep 1
done
tr -cs '[:alpha:]' '\n' < notes.md | tr '[:upper:]' '[:lower:]' | sort | uniq -c | sort -rn > words.txt
head -n 5 words.txt
git add words.txt
git -c user.name=demo-counter -c user.email=demo@localhost commit -q -m "Words of the notes"
git log --oneline -1
